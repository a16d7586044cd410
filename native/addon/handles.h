#pragma once
#include <napi.h>

#include <memory>
#include <set>
#include <vector>

#include "../model/model.h"
#include "../session/stepper.h"
#include "task.h"

// What the JavaScript objects hold, and who owns what: a session keeps its model alive, a model
// knows its sessions. All of it belongs to the JavaScript thread, except that a running step uses
// the Session objects and the Model of its task.
namespace lacuna::addon {

// Tells the garbage collector about memory that it cannot see.
class ExternalMemory {
 public:
  explicit ExternalMemory(Napi::Env env) : env(env) {}
  ~ExternalMemory() { set(0); }
  ExternalMemory(const ExternalMemory&) = delete;
  ExternalMemory& operator=(const ExternalMemory&) = delete;
  void set(uint64_t wanted);

 private:
  const Napi::Env env;
  uint64_t bytes = 0;
};

struct SessionHandle;

struct ModelHandle {
  ModelHandle(Napi::Env env, const std::shared_ptr<Environment>& environment,
              std::shared_ptr<Model> model);
  Model& live() const;  // DISPOSED

  const std::shared_ptr<Environment> environment;
  std::shared_ptr<Model> model;  // null: disposed of
  std::shared_ptr<Stepper> stepper;
  std::set<SessionHandle*> sessions;
  ExternalMemory memory;
  Worker worker;  // ends before everything above
};

struct SessionHandle {
  SessionHandle(Napi::Env env, std::shared_ptr<ModelHandle> model,
                std::unique_ptr<Session> session);
  ~SessionHandle();
  SessionHandle(const SessionHandle&) = delete;
  SessionHandle& operator=(const SessionHandle&) = delete;

  Session& live() const;  // DISPOSED
  Session& idle() const;  // DISPOSED, BUSY
  void dispose();

  const std::shared_ptr<ModelHandle> model;
  const int length;
  std::shared_ptr<Session> session;  // null: disposed of
  std::vector<Task*> steps;          // that use the session: one running, others queued behind it
  std::vector<int32_t> before;       // while there are any: the canvas as the first found it
  ExternalMemory memory;
};

class ModelObject;
class SessionObject;

// State of the addon in one environment.
struct Addon {
  explicit Addon(Napi::Env env);

  const std::shared_ptr<Environment> environment;
  Napi::FunctionReference modelClass, sessionClass;
  // Handed to the constructor that is about to run; JavaScript itself has nothing to construct
  // from.
  std::shared_ptr<ModelHandle> newModel;
  std::shared_ptr<SessionHandle> newSession;

  static Addon& of(Napi::Env env);
  Napi::Object wrap(std::shared_ptr<ModelHandle> model);
  Napi::Object wrap(std::shared_ptr<SessionHandle> session);
};

// NativeModel of lib/native.ts.
class ModelObject : public Napi::ObjectWrap<ModelObject> {
 public:
  explicit ModelObject(const Napi::CallbackInfo& info);
  static Napi::Function define(Napi::Env env);

 private:
  Napi::Value spec(const Napi::CallbackInfo& info);
  Napi::Value backend(const Napi::CallbackInfo& info);
  Napi::Value weightBytes(const Napi::CallbackInfo& info);
  Napi::Value fileBytes(const Napi::CallbackInfo& info);
  Napi::Value file(const Napi::CallbackInfo& info);
  Napi::Value createSession(const Napi::CallbackInfo& info);
  Napi::Value sessionBytes(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<ModelHandle> handle;
};

// NativeSession of lib/native.ts.
class SessionObject : public Napi::ObjectWrap<SessionObject> {
 public:
  explicit SessionObject(const Napi::CallbackInfo& info);
  static Napi::Function define(Napi::Env env);
  // INVALID_ARGUMENT naming `what` unless the value is one of our sessions.
  static const std::shared_ptr<SessionHandle>& from(Napi::Value value, const char* what);

 private:
  Napi::Value length(const Napi::CallbackInfo& info);
  Napi::Value tokens(const Napi::CallbackInfo& info);
  Napi::Value set(const Napi::CallbackInfo& info);
  Napi::Value fork(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<SessionHandle> handle;
};

}  // namespace lacuna::addon
