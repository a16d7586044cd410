#pragma once
#include <string>

#include "model.h"

// Memory that is asked for in one piece, and what to do where it is not there.
namespace lacuna {

// Takes memory for all weights of a plan, before the first of them is read. OUT_OF_MEMORY says what
// would fit: the model in a smaller quantisation, another device. It suggests only what has room
// for the weights and a session of 256 tokens.
void reserveWeights(const WeightPlan& plan, const ModelSpec& spec, Backend& backend);

// Memory of a session: see Session. OUT_OF_MEMORY says which length would fit.
MemoryPtr allocSession(const Model& model, size_t floats, int length);

// Activations of a step of `rows` rows. OUT_OF_MEMORY says how many rows would fit.
MemoryPtr allocActivations(Backend& backend, size_t floatsPerRow, int rows);

// What a step over all positions of a session needs beyond the session's own memory, in bytes: the
// activations, and at most this for what a card keeps in between.
uint64_t stepBytes(const ModelSpec& spec, int length);

}  // namespace lacuna
