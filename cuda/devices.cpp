#include "devices.h"

#include "../native/error.h"
#include "api.h"
#include "driver_cuda.h"
#include "modules.h"

namespace lacuna::cuda {
namespace {

constexpr int kOldestMajor = 7, kOldestMinor = 5;  // Turing

std::string versionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string gigabytes(size_t bytes) {
  const size_t tenths =
      bytes / (size_t{1} << 30) * 10 + bytes % (size_t{1} << 30) * 10 / (size_t{1} << 30);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

std::string describe(const Card& card) {
  return "card " + std::to_string(card.index) + " is " + card.facts.name + " (compute capability " +
         std::to_string(card.facts.major) + "." + std::to_string(card.facts.minor) + ", " +
         gigabytes(card.facts.totalBytes) + ", " + gigabytes(card.freeBytes) + " free)";
}

// What keeps every card from being used.
std::string generalProblem() {
  if (modules().list.empty()) return "this build has no CUDA kernels: it was made without nvcc";
  if (!api().missing.empty()) return api().missing;
  // Within a major version, newer compilers' code runs on older drivers.
  if (api().version / 1000 < modules().version / 1000)
    return "the NVIDIA driver speaks CUDA " + versionText(api().version) + ", but CUDA " +
           std::to_string(modules().version / 1000) + ".0 is needed; update the driver";
  return "";
}

}  // namespace

Cards findCards() {
  Cards cards;
  cards.problem = generalProblem();
  if (!api().missing.empty()) return cards;
  cards.driver = "CUDA " + versionText(api().version);
  int count = 0;
  if (api().cuDeviceGetCount(&count) != CUDA_SUCCESS) count = 0;
  for (int i = 0; i < count; i++) {
    Card card;
    card.index = i;
    card.facts = factsOf(i);
    const int capability = card.facts.major * 10 + card.facts.minor;
    if (capability < kOldestMajor * 10 + kOldestMinor) {
      card.problem = "compute capability 7.5 (Turing, RTX 20) or newer is needed";
    } else {
      card.freeBytes = freeBytesOf(i, card.problem);
    }
    cards.list.push_back(card);
  }
  if (cards.problem.empty() && cards.list.empty())
    cards.problem = "the NVIDIA driver (" + cards.driver + ") found no card";
  return cards;
}

int firstCard() {
  if (modules().list.empty()) return -1;  // without waking a driver that is not needed
  const Cards cards = findCards();
  if (!cards.problem.empty()) return -1;
  for (const Card& card : cards.list)
    if (card.problem.empty()) return card.index;
  return -1;
}

std::shared_ptr<Driver> openCard(int index) {
  const Cards cards = findCards();
  std::string found;
  for (const Card& card : cards.list) found += "; " + describe(card);
  const std::string device = "device 'cuda:" + std::to_string(index) + "' is not available: ";
  const std::string otherwise =
      (cards.driver.empty() ? "" : "; the driver speaks " + cards.driver) + found +
      "; use 'auto' or 'cpu'";
  if (!cards.problem.empty()) throw Error(Code::noCuda, device + cards.problem + otherwise);
  if (index < 0 || index >= static_cast<int>(cards.list.size()))
    throw Error(Code::noCuda, device + "there is no such card" + otherwise);
  const Card& card = cards.list[static_cast<size_t>(index)];
  if (!card.problem.empty()) throw Error(Code::noCuda, device + card.problem + otherwise);
  return makeCudaDriver(index, [&](const std::string& why) {
    return Error(Code::noCuda, device + why + " (this build has kernels for sm_" +
                                   modules().architectures + ")" + otherwise);
  });
}

}  // namespace lacuna::cuda
