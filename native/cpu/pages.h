#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace lacuna::cpu {

// Zeroed memory straight from the operating system, aligned to a page. Never malloc: inside
// Electron that is Chromium's allocator, which traps on large aligned blocks. A page that is never
// written costs no memory.
class Pages {
 public:
  Pages() = default;
  explicit Pages(size_t bytes);  // throws OUT_OF_MEMORY naming the bytes
  ~Pages();
  Pages(Pages&& other) noexcept { swap(other); }
  Pages& operator=(Pages&& other) noexcept {
    swap(other);
    return *this;
  }

  size_t bytes() const { return size; }
  template <class T>
  T* as() const {
    return static_cast<T*>(start);
  }

 private:
  void swap(Pages& other) {
    std::swap(start, other.start);
    std::swap(size, other.size);
  }
  void* start = nullptr;
  size_t size = 0;
};

// Working memory of one purpose: grows when asked for more and is then kept, so that a step
// allocates nothing after the first one of its shape. Contents do not survive growth.
class Scratch {
 public:
  template <class T>
  T* get(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes > pages.bytes()) {
      pages = Pages();  // the old pages go before the new ones come
      pages = Pages(bytes + bytes / 4);
    }
    return pages.as<T>();
  }

 private:
  Pages pages;
};

// What the system could still give, in bytes; 0: not known.
uint64_t freeHostBytes();

}  // namespace lacuna::cpu
