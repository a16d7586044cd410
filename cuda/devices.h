#pragma once
#include <memory>
#include <string>
#include <vector>

#include "driver.h"

namespace lacuna::cuda {

// A card of this machine and whether models can run on it.
struct Card {
  int index = 0;
  Driver::Facts facts;
  size_t freeBytes = 0;
  std::string problem;  // why it cannot be used; empty when it can
};

struct Cards {
  std::string driver;   // "CUDA 13.0"; empty: no driver
  std::string problem;  // why no card can be used at all; empty: see each card's
  std::vector<Card> list;
};

// Looks at what is there; never throws for what is missing.
Cards findCards();
// Throws NO_CUDA saying what was found and what is needed.
std::shared_ptr<Driver> openCard(int index);
// The first card that models can run on, -1: none.
int firstCard();

}  // namespace lacuna::cuda
