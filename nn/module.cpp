#include "nn/module.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <typeindex>
#include <typeinfo>
#include <unordered_set>
#include <utility>

#include "autodiff/error.hpp"

namespace wengert::nn {
namespace {

using Named = std::vector<std::pair<std::string, Parameter*>>;

// Walks a module with the names from its root.
class Walker : public Visitor {
 public:
  void operator()(const std::string& name, Parameter& parameter) override { meet(prefix_ + name, parameter); }
  void operator()(const std::string& name, Module& module) override {
    const std::size_t length = prefix_.size();
    prefix_ += name;
    enter(prefix_, module);
    prefix_ += ".";
    const Module* outer = std::exchange(within_, &module);
    module.children(*this);
    within_ = outer;
    prefix_.resize(length);
  }
  void frozen(const std::string& name, Module& module) override {
    const bool outer = std::exchange(thawed_, false);
    (*this)(name, module);
    thawed_ = outer;
  }

 protected:
  virtual void meet(const std::string& name, Parameter& parameter) = 0;
  virtual void enter(const std::string&, Module&) {}
  bool thawed() const { return thawed_; }
  const Module* within() const { return within_; }  // null: the root

 private:
  std::string prefix_;
  bool thawed_ = true;
  const Module* within_ = nullptr;
};

class Collector final : public Walker {
 public:
  Named found, own;                     // all, and those that are not frozen, each once
  std::vector<std::type_index> owners;  // the type of the module that each of `found` belongs to
  bool owns(const Parameter* parameter) const { return met_.contains(parameter); }

 private:
  void meet(const std::string& name, Parameter& parameter) override {
    found.emplace_back(name, &parameter);
    const Module* owner = within();
    owners.emplace_back(owner == nullptr ? typeid(Module) : typeid(*owner));
    if (thawed() && met_.insert(&parameter).second) own.emplace_back(name, &parameter);
  }
  std::unordered_set<const Parameter*> met_;
};

Collector collected(const Module& module) {
  Collector collector;
  // Visiting hands out mutable children; none is changed here.
  const_cast<Module&>(module).children(collector);
  return collector;
}

std::string described(const Named& parameters, std::size_t i) {
  if (i >= parameters.size()) return "nothing more";
  const auto& [name, parameter] = parameters[i];
  return fmt::format("{} {} {}{}", name, name_of(parameter->dtype()), to_string(parameter->shape()),
                     parameter->role() == Role::fixed ? ", fixed" : "");
}

// True if numbers of b can take the place of those of a.
bool alike(const Named& a, const Named& b, std::size_t i) {
  if (i >= a.size() || i >= b.size()) return false;
  const Parameter &to = *a[i].second, &from = *b[i].second;
  return a[i].first == b[i].first && to.dtype() == from.dtype() && to.shape() == from.shape() &&
         to.layout() == from.layout() && to.role() == from.role();
}

Index padded(Index size) { return (size + store_alignment - 1) / store_alignment * store_alignment; }

}  // namespace

// Gives parameters and modules the names under which they are met first.
class Namer final : public Walker {
  void meet(const std::string& name, Parameter& parameter) override {
    if (thawed() && met_.insert(&parameter).second) parameter.rename(name);
  }
  void enter(const std::string& name, Module& module) override {
    if (thawed() && met_.insert(&module).second) module.path_ = name;
  }
  std::unordered_set<const void*> met_;
};

Named Module::parameters() { return collected(*this).found; }

std::vector<std::pair<std::string, const Parameter*>> Module::parameters() const {
  const Named found = collected(*this).found;
  return {found.begin(), found.end()};
}

Named Module::trained() {
  Named result;
  for (const auto& entry : collected(*this).own)
    if (entry.second->role() == Role::trained) result.push_back(entry);
  return result;
}

void Module::name_parameters() {
  Namer namer;
  children(namer);
}

Module& Module::operator=(const Module& other) {
  if (this == &other) return *this;
  const Collector to = collected(*this), from = collected(other);
  for (const auto& [name, parameter] : from.found)
    if (parameter->moved_from()) throw Error(fmt::format("[assign] {} of the other module was moved from", name));
  const bool held = std::any_of(to.own.begin(), to.own.end(), [](const auto& entry) {
    return !entry.second->moved_from() && entry.second->slot().store->held();
  });
  if (!held) return *this;
  for (std::size_t i = 0; i < std::max(to.found.size(), from.found.size()); ++i)
    if (!alike(to.found, from.found, i))
      throw Error(
          fmt::format("[assign] an optimizer or a plan holds this module, and the other is of another architecture: "
                      "{} here, {} there",
                      described(to.found, i), described(from.found, i)));
  for (std::size_t i = 0; i < to.found.size(); ++i)
    if (to.owners[i] != from.owners[i])
      throw Error(
          fmt::format("[assign] an optimizer or a plan holds this module, and the other has a module of another type "
                      "around its {}",
                      to.found[i].first));
  for (std::size_t i = 0; i < to.found.size(); ++i)
    if (!to.owns(to.found[i].second) && to.found[i].second != from.found[i].second)
      throw Error(
          fmt::format("[assign] an optimizer or a plan holds this module, and its frozen {} is another one's: "
                      "modules over one frozen module share it",
                      to.found[i].first));
  return *this;
}

namespace {
thread_local const InModule* innermost = nullptr;

// `path` without `outer`, where it lies within that.
std::string_view below(std::string_view outer, std::string_view path) {
  if (outer.empty() || path.substr(0, outer.size()) != outer) return path;
  if (path.size() == outer.size()) return {};
  return path[outer.size()] == '.' ? path.substr(outer.size() + 1) : path;
}
}  // namespace

InModule::InModule(const Module& module, const Operand& at)
    : outer_(innermost),
      tape_(&at.tape()),
      path_(module.path()),
      scope_(at.tape(), outer_ != nullptr && outer_->tape_ == tape_ ? below(outer_->path_, path_) : path_, at.where()) {
  innermost = this;
}
InModule::~InModule() { innermost = outer_; }

Dtype trained_dtype(Module& module) {
  const Named trained = module.trained();
  return trained.empty() ? Dtype::f32 : trained[0].second->dtype();
}

std::shared_ptr<Store> gather(Module& module) {
  const auto parameters = module.trained();
  if (parameters.empty()) throw Error("a module without trained parameters has nothing to gather");
  const Dtype dtype = parameters[0].second->dtype();
  Index total = 0;
  bool gathered = true;
  for (const auto& [name, parameter] : parameters) {
    if (parameter->dtype() != dtype)
      throw Error(fmt::format("parameters differ in dtype: {} is {}, {} is {}", parameters[0].first, name_of(dtype),
                              name, name_of(parameter->dtype())));
    const Slot &slot = parameter->slot(), &start = parameters[0].second->slot();
    gathered = gathered && slot.store->gathered() && slot.store == start.store && slot.offset == total;
    total += padded(parameter->size());
  }
  const std::shared_ptr<Store>& first = parameters[0].second->slot().store;
  if (gathered && first->size() == total) return first;
  for (const auto& [name, parameter] : parameters)
    if (parameter->slot().store->gathered())
      throw Error(fmt::format("parameter {} belongs to another optimizer, of other parameters", name));
  for (const auto& [name, parameter] : parameters)
    if (parameter->slot().store->sealed())
      throw Error(
          fmt::format("parameter {} is read by a plan where it lies: make the optimizer before compiling", name));

  const auto store = std::make_shared<Store>(dtype, total);
  store->give_to_optimizer();
  Index offset = 0;
  for (const auto& [name, parameter] : parameters) {
    parameter->rehome(store, offset);
    offset += padded(parameter->size());
  }
  return store;
}

}  // namespace wengert::nn
