// lacuna-steps: --check | --allocations | --card [--f32] | --goldens [--device=NAME]
// [--filter=TEXT] [--json] MODEL.gguf… (--goldens: index.json)
#include <cstdio>

#include "error.h"
#include "steps.h"

namespace lacuna::steps {

void Tally::hold(bool holds, const std::string& message) {
  (holds ? passed : failed)++;
  if (!holds) std::fprintf(stderr, "FAIL %s\n", message.c_str());
}

namespace {

int run(int count, char** values) {
  std::string mode, filter, device = "emulator";
  std::vector<std::string> models;
  bool json = false, decoded = false;
  for (int i = 1; i < count; i++) {
    const std::string value = values[i];
    if (value == "--json") {
      json = true;
    } else if (value == "--f32") {
      decoded = true;
    } else if (value.rfind("--filter=", 0) == 0) {
      filter = value.substr(9);
    } else if (value.rfind("--device=", 0) == 0) {
      device = value.substr(9);
    } else if (value.rfind("--", 0) == 0) {
      mode = value;
    } else {
      models.push_back(value);
    }
  }
  const bool onCard = mode == "--card" || mode == "--goldens";
  if ((!onCard && mode != "--check" && mode != "--allocations") || models.empty()) {
    std::fprintf(
        stderr,
        "usage: lacuna-steps --check | --allocations | --card [--filter=TEXT] [--json] "
        "MODEL.gguf...\n       lacuna-steps --goldens [--filter=TEXT] [--json] index.json\n"
        "  TEXT is a part of the name of a scenario or of a golden model; --card and "
        "--goldens take --device=emulator or --device=cuda:N, --card takes --f32 (weights are "
        "decoded "
        "first)\n");
    return 2;
  }
  Tally tally;
  for (const std::string& path : models) {
    if (mode == "--card") {
      checkCard(tally, cardBackend(device), path, filter, decoded);
    } else if (mode == "--goldens") {
      checkGoldens(tally, cardBackend(device), path, filter);
    } else {
      (mode == "--check" ? check : countAllocations)(tally, path, filter);
    }
  }
  std::printf(json ? "{\"passed\":%d,\"failed\":%d}\n" : "steps: %d passed, %d failed\n",
              tally.passed, tally.failed);
  return tally.failed || !tally.passed ? 1 : 0;
}

}  // namespace
}  // namespace lacuna::steps

int main(int count, char** values) {
  try {
    return lacuna::steps::run(count, values);
  } catch (const lacuna::Error& error) {
    std::fprintf(stderr, "%s: %s\n", lacuna::codeName(error.code), error.what());
    return 2;
  }
}
