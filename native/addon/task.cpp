#include "task.h"

#include <chrono>
#include <string>
#include <system_error>

#include "../spin.h"
#include "errors.h"

namespace lacuna::addon {

namespace {

// A generation asks for its next step within this time, and waking a thread takes longer than
// anything JavaScript does in between.
constexpr std::chrono::microseconds kTurnaround{1500};

template <class Body>
std::thread startThread(Body body) {
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    throw Error(Code::outOfMemory, std::string("The system refuses a thread: ") + error.what());
  }
}

}  // namespace

// ---- Task ------------------------------------------------------------------------------------

Task::Task(Napi::Env env) {
  napi_value made = nullptr;
  if (napi_create_promise(env, &deferred, &made) != napi_ok) throw Napi::Error::New(env);
  promise = Napi::Value(env, made);
}

void Task::run() noexcept {
  try {
    if (cancelled) throw Error(Code::aborted, "Aborted before it began");
    work(*this);
  } catch (...) {
    failure = std::current_exception();
  }
}

void Task::reportProgress(Napi::Env env) {
  if (onProgress.IsEmpty() || thrown) return;
  const auto number = [env](uint64_t n) { return Napi::Number::New(env, static_cast<double>(n)); };
  try {
    onProgress.Call({number(done), number(total)});
  } catch (const Napi::Error&) {
    thrown = std::current_exception();
    cancelled = true;
  }
}

void Task::settle(Napi::Env env) {
  ended();
  napi_value value = nullptr;
  try {
    if (thrown) std::rethrow_exception(thrown);
    if (failure && reason) throw Error(*reason);
    if (failure) std::rethrow_exception(failure);
    value = result(env);
  } catch (...) {
    napi_reject_deferred(env, deferred, toJs(env, std::current_exception()).Value());
    return;
  }
  napi_resolve_deferred(env, deferred, value);
}

// ---- Worker ----------------------------------------------------------------------------------

Worker::Worker(std::shared_ptr<Environment> environment) : environment(std::move(environment)) {
  this->environment->workers.insert(this);
}

Worker::~Worker() {
  stop();
  environment->workers.erase(this);
}

void Worker::post(Task& task) {
  if (!thread.joinable()) thread = startThread([this] { loop(); });
  const std::lock_guard lock(mutex);
  queue.push_back(&task);
  called = true;
  changed.notify_one();
}

void Worker::stop() {
  if (!thread.joinable()) return;
  {
    const std::lock_guard lock(mutex);
    stopping = true;
    called = true;
    changed.notify_one();
  }
  thread.join();
  stopping = false;
}

void Worker::loop() {
  std::unique_lock lock(mutex, std::defer_lock);
  for (;;) {
    spinUntil([this] { return called.load(); }, kTurnaround);
    lock.lock();
    changed.wait(lock, [this] { return stopping || !queue.empty(); });
    if (queue.empty()) return;
    Task& task = *queue.front();
    queue.pop_front();
    called = !queue.empty();
    lock.unlock();
    task.run();
    environment->finished(task);
  }
}

// ---- Environment -----------------------------------------------------------------------------

Environment::Environment(Napi::Env env) : env(env) {
  const auto onWake = [](napi_env live, napi_value, void* self, void*) {
    if (live != nullptr) static_cast<Environment*>(self)->drain();
  };
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "lacuna"), 0, 1,
                                      nullptr, nullptr, this, onWake, &wake);
  if (status != napi_ok) throw Napi::Error::New(env);
  napi_unref_threadsafe_function(env, wake);
  // Hooks run in reverse order, so ours comes before the function's own, while it still works.
  napi_add_env_cleanup_hook(
      env, [](void* self) { static_cast<Environment*>(self)->shutDown(); }, this);
}

Napi::Object Environment::start(const std::shared_ptr<Task>& task, Worker* worker) {
  if (closed) throw Error(Code::aborted, "The JavaScript environment is ending");
  task->id = nextId++;
  Napi::Object handle = Napi::Object::New(env);
  handle.Set("promise", task->promise);
  handle.Set("id", Napi::Number::New(env, static_cast<double>(task->id)));

  if (tasks.empty()) napi_ref_threadsafe_function(env, wake);
  tasks.emplace(task->id, task);
  try {
    if (worker != nullptr) {
      worker->post(*task);
    } else {
      task->thread = startThread([this, &running = *task] {
        running.run();
        finished(running);
      });
    }
  } catch (...) {
    release(*task);
    throw;
  }
  return handle;
}

void Environment::cancel(int64_t id) {
  const auto found = tasks.find(id);
  if (found != tasks.end()) found->second->cancelled = true;
}

void Environment::finished(Task& task) {
  {
    const std::lock_guard lock(mutex);
    done.push_back(&task);
  }
  wakeUp();
}

void Environment::progress(Task& task, uint64_t finishedBytes, uint64_t totalBytes) {
  task.done = finishedBytes;
  task.total = totalBytes;
  if (!task.progressed.exchange(true)) wakeUp();
}

void Environment::wakeUp() { napi_call_threadsafe_function(wake, nullptr, napi_tsfn_nonblocking); }

// Runs on the JavaScript thread some time after wakeUp; one call may serve several.
void Environment::drain() {
  if (closed) return;
  const Napi::HandleScope scope(env);
  std::vector<Task*> settling;
  {
    const std::lock_guard lock(mutex);
    settling.swap(done);
  }
  std::vector<std::shared_ptr<Task>> progressed;
  for (const auto& [id, task] : tasks) {
    if (task->progressed.exchange(false)) progressed.push_back(task);
  }
  for (const auto& task : progressed) task->reportProgress(env);
  for (Task* finishedTask : settling) {
    const std::shared_ptr<Task> task = tasks.at(finishedTask->id);
    release(*task);
    try {
      task->settle(env);
    } catch (const Napi::Error&) {
      // Not even an error can be made: the environment is being terminated, nobody is left to tell.
    }
  }
}

void Environment::release(Task& task) {
  if (task.thread.joinable()) task.thread.join();
  tasks.erase(task.id);
  if (tasks.empty()) napi_unref_threadsafe_function(env, wake);
}

void Environment::shutDown() {
  closed = true;
  for (const auto& [id, task] : tasks) task->cancelled = true;
  for (Worker* worker : workers) worker->stop();
  for (const auto& [id, task] : tasks) {
    if (task->thread.joinable()) task->thread.join();
    task->ended();
  }
  tasks.clear();
}

}  // namespace lacuna::addon
