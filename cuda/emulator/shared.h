#pragma once
#include <cstring>
#include <type_traits>

#include "block.h"

namespace lacuna::emulate {

// What Area::written holds where all has been written; of the largest type there is.
inline constexpr uint8_t kWritten[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                         1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// A pointer into shared memory whose every use is checked: inside its declaration, aligned, and
// written before it is read.
template <class T>
class Shared {
 public:
  using Value = std::remove_const_t<T>;
  static_assert(sizeof(T) <= sizeof kWritten);

  // What s[i] is: reads when converted, writes when assigned to.
  class Reference {
   public:
    explicit Reference(const Shared& at) : at(at) {}
    operator Value() const { return at.read(); }
    Reference& operator=(Value value) {
      at.write(value);
      return *this;
    }
    Reference& operator=(const Reference& other) { return *this = static_cast<Value>(other); }
    Reference(const Reference&) = default;
    template <class U>
    Reference& operator+=(U value) {
      return *this = static_cast<Value>(at.read() + value);
    }
    template <class U>
    Reference& operator-=(U value) {
      return *this = static_cast<Value>(at.read() - value);
    }
    template <class U>
    Reference& operator*=(U value) {
      return *this = static_cast<Value>(at.read() * value);
    }
    template <class U>
    Reference& operator|=(U value) {
      return *this = static_cast<Value>(at.read() | value);
    }

   private:
    Shared at;
  };

  Shared() = default;
  Shared(const Area* area, std::byte* data) : area(area), data(data) {}
  template <class U>
    requires(std::is_same_v<const U, T> && !std::is_same_v<U, T>)
  Shared(const Shared<U>& other) : area(other.area), data(other.data) {}

  Reference operator[](int64_t i) const { return Reference(*this + i); }
  Reference operator*() const { return Reference(*this); }
  Shared operator+(int64_t n) const { return {area, data + n * static_cast<int64_t>(sizeof(T))}; }
  Shared operator-(int64_t n) const { return *this + -n; }
  Shared& operator+=(int64_t n) { return *this = *this + n; }
  explicit operator bool() const { return data != nullptr; }

  Value read() const {
    const size_t at = check("read", sizeof(T));
    if (std::memcmp(area->written + at, kWritten, sizeof(T)) != 0)
      wrong("read of shared memory that nobody wrote", sizeof(T));
    theBlock->used(*area, at, sizeof(T), false);
    Value value;
    std::memcpy(&value, data, sizeof(T));
    return value;
  }

  void write(Value value) const {
    static_assert(!std::is_const_v<T>, "shared memory behind a pointer to const");
    const size_t at = check("write", sizeof(T));
    theBlock->used(*area, at, sizeof(T), true);
    std::memcpy(data, &value, sizeof(T));
    std::memcpy(area->written + at, kWritten, sizeof(T));
  }

  // Changes the value at once, as atomic operations do; returns the old one.
  template <class Function>
  Value update(const Function& function) const {
    const size_t at = check("atomic operation", sizeof(T));
    if (std::memcmp(area->written + at, kWritten, sizeof(T)) != 0)
      wrong("atomic operation on memory that nobody wrote", sizeof(T));
    Value old;
    std::memcpy(&old, data, sizeof(T));
    const Value value = function(old);
    std::memcpy(data, &value, sizeof(T));
    return old;
  }

  // Offset in the area of `bytes` bytes from here, which lie inside and are aligned to them.
  size_t check(const char* what, size_t bytes) const {
    if (!area) theBlock->fail(std::string(what) + " through a null pointer to shared memory");
    const int64_t at = data - area->data;
    if (at < 0 || at + static_cast<int64_t>(bytes) > static_cast<int64_t>(area->bytes))
      wrong(std::string(what) + " outside of shared memory", bytes);
    const size_t alignment = bytes > 16 || (bytes & (bytes - 1)) ? alignof(T) : bytes;
    if (reinterpret_cast<uintptr_t>(data) % alignment != 0)
      wrong(std::string("misaligned ") + what + " of shared memory", bytes);
    return static_cast<size_t>(at);
  }

  [[noreturn]] void wrong(const std::string& what, size_t bytes) const {
    theBlock->fail(what + ": " + std::to_string(bytes) + " bytes at byte " +
                   std::to_string(data - area->data) + " of " + std::to_string(area->bytes) +
                   " in " + area->name);
  }

  const Area* area = nullptr;
  std::byte* data = nullptr;
};

template <class U, class T>
Shared<U> as(const Shared<T>& pointer) {
  static_assert(std::is_const_v<U> || !std::is_const_v<T>);
  return {pointer.area, pointer.data};
}
template <class U, class T>
U* as(T* pointer) {
  return reinterpret_cast<U*>(pointer);
}

template <class T>
Shared<T> declareShared(const void* site, const char* name, size_t count) {
  const Area* area = theBlock->shared(site, name, count * sizeof(T));
  return {area, area->data};
}

inline Shared<unsigned char> dynamicShared() {
  const Area* area = theBlock->dynamicShared();
  return {area, area->data};
}

}  // namespace lacuna::emulate
