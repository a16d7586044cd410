#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace lacuna {

struct Span {
  int begin = 0, end = 0;  // [begin, end)
};

// The tokens of a session. Those on the host count. A backend whose kernels run elsewhere has a
// copy beside the session's K/V: its commits write both, and what the host has written since
// (`stale`) is sent with the next step.
class Canvas {
 public:
  Canvas() = default;
  Canvas(int length, int32_t token)
      : stale{0, length}, values(static_cast<size_t>(length), token) {}

  int length() const { return static_cast<int>(values.size()); }
  const std::vector<int32_t>& tokens() const { return values; }
  int32_t operator[](int position) const { return values[static_cast<size_t>(position)]; }

  // By the host.
  void write(int position, std::span<const int32_t> tokens) {
    if (tokens.empty()) return;
    std::copy(tokens.begin(), tokens.end(), values.begin() + position);
    const int end = position + static_cast<int>(tokens.size());
    stale = stale.begin == stale.end
                ? Span{position, end}
                : Span{std::min(stale.begin, position), std::max(stale.end, end)};
  }
  void write(int position, int32_t token) { write(position, {&token, 1}); }
  // By a backend whose commit has written the copy as well.
  void follow(int position, int32_t token) { values[static_cast<size_t>(position)] = token; }

  int32_t* copy = nullptr;  // backend (length) or null
  Span stale;               // positions at which the copy may differ

 private:
  std::vector<int32_t> values;  // (length)
};

}  // namespace lacuna
