// Every kind of step that the library asks for, on canvases small enough to check in seconds.
#include <algorithm>
#include <numeric>

#include "session/philox.h"
#include "steps.h"

namespace lacuna::steps {
namespace {

constexpr int kPrompt = 8, kBlock = 12;

std::vector<int32_t> range(int32_t first, int32_t last) {
  std::vector<int32_t> list(static_cast<size_t>(last - first));
  std::iota(list.begin(), list.end(), first);
  return list;
}

std::vector<int32_t> masked(const Session& session, int32_t first, int32_t last) {
  std::vector<int32_t> list;
  for (int32_t p = first; p < last; p++) {
    if (session.canvas[p] == session.model->spec.mask) list.push_back(p);
  }
  return list;
}

std::vector<int32_t> every(int step, int from, int to) {
  std::vector<int32_t> set;
  for (int i = from; i < to; i += step) set.push_back(i);
  return set;
}

int vocabularyOf(const Player& player) { return player.session->model->spec.vocabulary; }

// The second block of the canvas, cached but for a refresh every third round.
void askBlock(StepRequest& request, const Player& player, int round) {
  if (round % 3 == 0) return;
  const int32_t first = kPrompt, last = kPrompt + kBlock;
  request.rows = range(first - player.session->model->spec.logitShift, last);
  request.query = masked(*player.session, first, last);
}

void askGuidance(StepRequest& request, const Player& player, int) {
  request.unconditional = player.twin.get();
  request.guidance = 1.5f;
}

void askShadows(StepRequest& request, const Player& player, int) {
  request.shadow = range(kPrompt, player.session->length());
}

void askSoft(StepRequest& request, const Player& player, int round) {
  for (int32_t position : masked(*player.session, 0, player.session->length())) {
    SoftEntry entry;
    entry.position = position;
    entry.alpha = 0.1f * static_cast<float>(1 + (position + round) % 5);
    for (int j = 0; j < 3; j++) {
      entry.tokens.push_back((position * 31 + 7 * j) % vocabularyOf(player));
      entry.weights.push_back(j == 0 ? 0.5f : 0.25f);
    }
    request.soft.push_back(std::move(entry));
  }
}

void askSets(StepRequest& request, const Player& player, int) {
  const int vocabulary = vocabularyOf(player);
  request.suppress = every(5, 0, vocabulary);
  request.allow = every(2, 0, vocabulary);
  request.unscored = every(9, 0, vocabulary);
  request.probe = {1, vocabulary / 2, vocabulary - 1};
  for (int32_t position = kPrompt; position < player.session->length(); position += 3) {
    request.credits.push_back({position, vocabulary / 3, 2.5f});
    request.credits.push_back({position, vocabulary / 2, 1.5f});
  }
}

// Three lists, one of them for positions that may not be reported, and positions in none.
void askLimits(StepRequest& request, const Player& player, int) {
  const int vocabulary = vocabularyOf(player), length = player.session->length();
  request.suppress = every(5, 0, vocabulary);
  request.limits = {{every(3, kPrompt, length), {}, every(7, 0, vocabulary)},
                    {every(3, kPrompt + 1, length), every(2, 0, vocabulary), {}},
                    {range(0, kPrompt), {1}, {2, 3}}};
}

void askLists(StepRequest& request, const Player&, int) {
  request.head.kl = true;
  request.head.list = 5;
  request.head.logits = true;
}

void sample(StepRequest& request, int round, float temperature) {
  request.head.temperature = temperature;
  request.head.seed = 42;
  request.head.step = static_cast<uint32_t>(round);
}

void askSample(StepRequest& request, const Player&, int round) { sample(request, round, 0.8f); }

void askFilter(StepRequest& request, const Player&, int round) {
  sample(request, round, 1.2f);
  request.head.topP = 0.9f;
  request.head.topK = 40;
  request.head.tempered = true;
}

void askRule(StepRequest& request, const Player& player, int round) {
  CommitRule& rule = *request.commit;
  rule.select = std::vector{Select::threshold, Select::factor, Select::entropyBound}[round % 3];
  rule.score = std::vector{Score::random, Score::probability, Score::negEntropy}[round % 3];
  rule.tau = 0.95;
  rule.factor = 0.5;
  rule.gamma = 0.2;
  request.bias.assign(player.session->canvas.tokens().size(), 0.01f);
}

// What askRule leaves out, where MASK may be proposed.
void askOtherRule(StepRequest& request, const Player&, int round) {
  CommitRule& rule = *request.commit;
  rule.select = std::vector{Select::all, Select::threshold, Select::factor}[round % 3];
  rule.score = std::vector{Score::position, Score::margin, Score::probability}[round % 3];
  rule.begin = kPrompt + 2 * round;
  rule.end = rule.begin + kBlock;
  rule.tau = 0.9;
  rule.strict = true;
  rule.min = 2;
  rule.factor = 0.5;
  rule.literal = true;
  request.unchosen.clear();
}

// Keys with holes between them, and whatever is masked in a range when the step begins.
void askSome(StepRequest& request, const Player& player, int) {
  std::erase_if(request.visible, [](int32_t position) { return position % 3 == 1; });
  request.query.clear();
  request.masked = Span{kPrompt, player.session->length() - 3};
}

void askNothing(StepRequest& request, const Player&, int) {
  request.query.clear();
  request.commit.reset();
}

void askMixed(StepRequest& request, const Player& player, int round) {
  const decltype(Scenario::ask) kinds[] = {askBlock,  askGuidance, askShadows, askSoft,  askLists,
                                           askSample, askSets,     askNothing, askLimits};
  kinds[player.index % 9](request, player, round);
}

}  // namespace

std::vector<Scenario> scenarios() {
  const auto plain = [](StepRequest&, const Player&, int) {};
  return {
      {"full", 1, 1, plain},
      {"three sessions", 3, 1, plain},
      {"block", 1, 2, askBlock},
      {"four blocks", 4, 2, askBlock},
      {"guidance", 2, 1, askGuidance},
      {"shadows", 1, 1, askShadows},
      {"soft masks", 1, 1, askSoft},
      {"credits and sets", 1, 1, askSets},
      {"limits", 2, 1, askLimits},
      {"lists, KL, logits", 1, 1, askLists},
      {"sample", 1, 1, askSample},
      {"top-p and top-k", 1, 1, askFilter},
      {"rules", 1, 3, askRule},
      {"other rules", 1, 3, askOtherRule},
      {"some keys, masks of a range", 1, 1, askSome},
      {"nothing queried", 1, 1, askNothing},
      {"all kinds at once", 9, 2, askMixed},
  };
}

std::shared_ptr<Model> load(const std::string& path, int threads) {
  LoadOptions options;
  options.device = Device::cpu;
  options.threads = threads;
  const std::atomic<bool> cancelled{false};
  return loadModel(path, options, [](uint64_t, uint64_t) {}, cancelled);
}

std::vector<Player> gather(const std::shared_ptr<Model>& model, const Scenario& scenario) {
  std::vector<Player> players;
  for (int i = 0; i < scenario.players; i++) {
    const int length = 36 + 5 * i;
    Player player;
    player.index = i;
    player.session = std::make_unique<Session>(model, length);
    player.twin = std::make_unique<Session>(model, length);
    for (uint32_t p = 0; p < kPrompt; p++) {
      const uint32_t word = Philox::block(static_cast<uint64_t>(i), p, 0, 0, 0)[0];
      player.session->canvas.write(
          static_cast<int>(p),
          static_cast<int32_t>(word % static_cast<uint32_t>(model->spec.vocabulary)));
    }
    players.push_back(std::move(player));
  }
  return players;
}

std::vector<StepRequest> requestsOf(const Scenario& scenario, const std::vector<Player>& players,
                                    int round) {
  std::vector<StepRequest> requests;
  for (const Player& player : players) {
    Session& session = *player.session;
    StepRequest request;
    request.session = &session;
    request.rows = request.visible = range(0, session.length());
    request.query = masked(session, 0, session.length());
    request.unchosen = {session.model->spec.mask};
    request.commit.emplace();
    request.commit->select = Select::topK;
    request.commit->k = 2;
    request.commit->end = session.length();
    scenario.ask(request, player, round);
    requests.push_back(std::move(request));
  }
  return requests;
}

}  // namespace lacuna::steps
