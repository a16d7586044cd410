#pragma once
#include <cstdint>

#include "../native/types.h"
#include "matrix.h"

// From rows of GGUF blocks to the bricks of matrix.h, on the host.
namespace lacuna::cuda {

// The layout of a tensor, with null pointers. Throws UNSUPPORTED_TYPE, BAD_GGUF (too large).
Matrix layOut(const TensorView& view);

// Strip `strip` of matrix `number` of the tensor: bricks (depths · brickBytes), all bytes written.
// rowScale (16) is written where rows have factors of their own (hasRowScale).
void packStrip(const TensorView& view, const Matrix& layout, int64_t number, int strip,
               uint8_t* bricks, float* rowScale);

// BF16 is kept as halves times a power of two for each row: the same 8 bits of fraction, but for
// values below 2^-29 of the row's largest.
inline bool hasRowScale(Type type) { return type == Type::bf16; }

}  // namespace lacuna::cuda
