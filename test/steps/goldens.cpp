// The logits of reference models against those of an independent implementation, within the bounds
// of test/golden/goldens.test.ts.
#include <algorithm>
#include <cmath>
#include <fstream>

#include "error.h"
#include "json.h"
#include "steps.h"

namespace lacuna::steps {
namespace {

std::vector<float> readFloats(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw Error(Code::fileError, path + ": cannot be read");
  std::vector<float> values(static_cast<size_t>(file.tellg()) / sizeof(float));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
  return values;
}

SpecOverrides overridesOf(const Json& model) {
  SpecOverrides overrides;
  overrides.logitShift = 0;  // hidden row i gives logits i, as the goldens were taken
  if (const Json* mask = model.find("maskToken"))
    overrides.mask = static_cast<int32_t>(mask->number);
  const Json* attention = model.find("attention");
  if (!attention) return overrides;
  const size_t colon = attention->text.find(':');
  overrides.attentionBlock = colon != std::string::npos
                                 ? std::stoi(attention->text.substr(colon + 1))
                                 : (attention->text == "causal" ? 1 : 0);
  return overrides;
}

// The only type of a file without mixed ones is in its name.
bool isFloatModel(const Json& model) {
  std::vector<std::string> types;
  if (const Json* list = model.find("types")) {
    for (const Json& type : list->list) types.push_back(type.text);
  } else {
    const std::string& name = model.at("model").text;
    const size_t dot = name.find('.') + 1;
    types.push_back(name.substr(dot, name.find('.', dot) - dot));
  }
  return std::all_of(types.begin(), types.end(), [](const std::string& type) {
    return type == "F32" || type == "F16" || type == "BF16";
  });
}

std::vector<float> logitsOf(const std::shared_ptr<Model>& model, const std::vector<Json>& tokens) {
  Session session(model, static_cast<int>(tokens.size()));
  StepRequest request;
  request.session = &session;
  for (size_t i = 0; i < tokens.size(); i++) {
    session.canvas.write(static_cast<int>(i), static_cast<int32_t>(tokens[i].number));
    request.rows.push_back(static_cast<int32_t>(i));
  }
  request.visible = request.query = request.rows;
  request.head.logits = true;
  const std::atomic<bool> cancelled{false};
  Stepper stepper(*model);
  std::vector<StepResult> results;
  stepper.step({&request, 1}, results, cancelled);
  return results[0].logits;
}

double relativeError(const float* ours, const float* theirs, size_t n) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < n; i++) {
    difference += (double{ours[i]} - theirs[i]) * (double{ours[i]} - theirs[i]);
    norm += double{theirs[i]} * theirs[i];
  }
  return std::sqrt(difference / norm);
}

void checkModel(Tally& tally, const MakeBackend& make, const std::string& folder,
                const Json& golden) {
  const std::string path = folder + "/" + golden.at("model").text;
  const std::atomic<bool> cancelled{false};
  const auto model = loadModel(path, overridesOf(golden), make(), {}, cancelled);
  const std::vector<Json>& cases = golden.at("cases").list;
  double sum = 0, bound = 0, worst = 0;
  for (const Json& one : cases) {
    const std::vector<float> expected = readFloats(folder + "/" + one.at("logits").text);
    const std::vector<float> ours = logitsOf(model, one.at("tokens").list);
    if (ours.size() != expected.size())
      return tally.hold(false, path + ": not as many logits as the golden ones");
    sum += relativeError(ours.data(), expected.data(), ours.size());
    const Json* peer = one.find("peer_rel_error");
    bound += peer && peer->kind == Json::Kind::number ? 1.25 * peer->number : 2.5e-2;
    const size_t vocabulary = static_cast<size_t>(model->spec.vocabulary);
    for (size_t row = 0; row < ours.size(); row += vocabulary)
      worst = std::max(worst, relativeError(&ours[row], &expected[row], vocabulary));
  }
  const bool floats = isFloatModel(golden);
  const double count = static_cast<double>(cases.size());
  const double error = floats ? worst : sum / count, allowed = floats ? 5e-3 : bound / count;
  std::fprintf(stderr, "%-24s error %.2e, allowed %.2e\n", golden.at("model").text.c_str(), error,
               allowed);
  tally.hold(error <= allowed, path + ": error " + std::to_string(error));
}

}  // namespace

void checkGoldens(Tally& tally, const MakeBackend& make, const std::string& index,
                  const std::string& filter) {
  const Json models = readJson(index);
  const std::string folder = index.substr(0, index.find_last_of("/\\"));
  for (const Json& model : models.list) {
    if (model.at("model").text.find(filter) == std::string::npos) continue;
    checkModel(tally, make, folder, model);
  }
}

}  // namespace lacuna::steps
