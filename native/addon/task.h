#pragma once
#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "../error.h"

// Work on native threads, and its way back to the JavaScript thread it came from.
namespace lacuna::addon {

// One piece of work and the promise of its result. Created, settled and destroyed on the JavaScript
// thread; a native thread sees it only while `work` runs.
struct Task {
  explicit Task(Napi::Env env);

  std::function<void(Task&)> work;               // on a native thread; polls `cancelled`
  std::function<Napi::Value(Napi::Env)> result;  // on the JavaScript thread, if `work` succeeded
  std::function<void()> ended = [] {};           // on the JavaScript thread, before settling
  Napi::FunctionReference onProgress;            // (done, total), or empty; a throw cancels

  std::atomic<bool> cancelled{false};
  // Says why instead of the ABORTED that `work` fails with.
  void cancel(Error why) {
    reason = std::move(why);
    cancelled = true;
  }
  // Kept until the task is destroyed: what was disposed of while `work` still needed it.
  std::vector<std::shared_ptr<void>> garbage;

 private:
  friend class Environment;
  friend class Worker;
  void run() noexcept;
  void reportProgress(Napi::Env env);
  void settle(Napi::Env env);

  int64_t id = 0;  // in its environment; set when it is started
  napi_deferred deferred = nullptr;
  Napi::Value promise;          // valid until the task is started
  std::exception_ptr failure;   // of `work`
  std::optional<Error> reason;  // of `cancel`
  std::exception_ptr thrown;    // by onProgress
  std::thread thread;           // of a task without a worker
  std::atomic<uint64_t> done{0}, total{0};
  std::atomic<bool> progressed{false};
};

class Environment;

// A native thread that runs tasks in order. Starts with the first one.
class Worker {
 public:
  explicit Worker(std::shared_ptr<Environment> environment);
  ~Worker();
  void post(Task& task);
  void stop();  // after everything that is queued; a later post starts a new thread

 private:
  void loop();

  const std::shared_ptr<Environment> environment;
  std::thread thread;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Task*> queue;
  std::atomic<bool> called{false};  // something was queued, or stopping
  bool stopping = false;
};

// What one JavaScript environment (main thread or worker thread, each with its own copy of the
// addon's state) has running. Everything but `finished` and `progress` belongs to its thread.
class Environment {
 public:
  explicit Environment(Napi::Env env);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  // Runs the task on `worker`, or on a thread of its own. Returns { promise, id }; a function to
  // cancel it would cost as much as all else that starts a step.
  // Pending tasks keep the process alive; idle workers and models do not.
  Napi::Object start(const std::shared_ptr<Task>& task, Worker* worker = nullptr);

  void cancel(int64_t id);  // nothing if the task has ended

  void finished(Task& task);  // any thread; the task is not touched afterwards
  void progress(Task& task, uint64_t done, uint64_t total);  // the thread of the task

 private:
  friend class Worker;
  void wakeUp();
  void drain();
  void release(Task& task);
  void shutDown();  // the environment ends: cancel, join, free

  const Napi::Env env;
  napi_threadsafe_function wake = nullptr;  // referenced only while tasks are pending
  std::unordered_map<int64_t, std::shared_ptr<Task>> tasks;  // by id
  int64_t nextId = 0;
  std::set<Worker*> workers;
  bool closed = false;

  std::mutex mutex;
  std::vector<Task*> done;  // guarded by mutex
};

}  // namespace lacuna::addon
