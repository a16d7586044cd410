#pragma once
#include <vector>

#include "../backend.h"

namespace lacuna {

// The definition of the confidence reduction: appends the statistics of one row, given its logits z
// (vocabulary, after guidance), to `result` (kl excepted). Throws INVALID_ARGUMENT when no token
// may be chosen.
void reduceRow(HeadResult& result, const std::vector<double>& z, const HeadRow& row,
               const HeadOptions& options);

}  // namespace lacuna
