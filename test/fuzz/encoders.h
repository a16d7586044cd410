#pragma once

namespace fuzz {

// Every encoder on numbers that are hard for it, and its inverse, the decoder, on random bytes.
// Throws std::runtime_error with what went wrong. Returns how many tests there were.
int checkEncoders();

}  // namespace fuzz
