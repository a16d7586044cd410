#pragma once
#include <stdexcept>
#include <string>

namespace lacuna {

// The codes of LacunaError in lib/errors.ts that native code can raise.
enum class Code {
  badGguf,
  fileError,
  unsupportedArchitecture,
  unsupportedType,
  outOfMemory,
  invalidArgument,
  busy,
  disposed,
  aborted,
  noCuda,
  internal,
};

inline const char* codeName(Code code) {
  switch (code) {
    case Code::badGguf: return "BAD_GGUF";
    case Code::fileError: return "FILE_ERROR";
    case Code::unsupportedArchitecture: return "UNSUPPORTED_ARCHITECTURE";
    case Code::unsupportedType: return "UNSUPPORTED_TYPE";
    case Code::outOfMemory: return "OUT_OF_MEMORY";
    case Code::invalidArgument: return "INVALID_ARGUMENT";
    case Code::busy: return "BUSY";
    case Code::disposed: return "DISPOSED";
    case Code::aborted: return "ABORTED";
    case Code::noCuda: return "NO_CUDA";
    case Code::internal: return "INTERNAL";
  }
  return "INTERNAL";
}

// The only exception native code throws on purpose. The message names the file, key, tensor or
// option, and says what would be right.
struct Error : std::runtime_error {
  Error(Code code, const std::string& message) : std::runtime_error(message), code(code) {}
  Code code;
};

}  // namespace lacuna
