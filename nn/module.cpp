#include "nn/module.hpp"

#include <fmt/format.h>

#include "autodiff/error.hpp"

namespace wengert::nn {
namespace {

using Named = std::vector<std::pair<std::string, Parameter*>>;

class Collector final : public Visitor {
 public:
  void operator()(const std::string& name, Parameter& parameter) override {
    found.emplace_back(prefix_ + name, &parameter);
    if (thawed_) own.emplace_back(found.back());
  }
  void operator()(const std::string& name, Module& module) override {
    const std::string outer = prefix_;
    prefix_ += name + ".";
    module.children(*this);
    prefix_ = outer;
  }
  void frozen(const std::string& name, Module& module) override {
    const bool outer = thawed_;
    thawed_ = false;
    (*this)(name, module);
    thawed_ = outer;
  }
  Named found, own;  // all, and those that are not frozen

 private:
  std::string prefix_;
  bool thawed_ = true;
};

Collector collected(Module& module) {
  Collector collector;
  module.children(collector);
  return collector;
}

Index padded(Index size) { return (size + store_alignment - 1) / store_alignment * store_alignment; }

}  // namespace

Named Module::parameters() { return collected(*this).found; }

Named Module::trained() {
  Named result;
  for (const auto& entry : collected(*this).own)
    if (entry.second->role() == Role::trained) result.push_back(entry);
  return result;
}

std::vector<std::pair<std::string, const Parameter*>> Module::parameters() const {
  // Visiting hands out mutable children; none is changed here.
  auto found = const_cast<Module*>(this)->parameters();
  return {found.begin(), found.end()};
}

void Module::name_parameters() {
  for (auto& [name, parameter] : collected(*this).own) parameter->rename(name);
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
    gathered =
        gathered && parameter->slot().store == parameters[0].second->slot().store && parameter->slot().offset == total;
    total += padded(parameter->size());
  }
  const std::shared_ptr<Store>& first = parameters[0].second->slot().store;
  if (gathered && first->size() == total) return first;
  for (const auto& [name, parameter] : parameters)
    if (parameter->slot().store->size() != parameter->size())
      throw Error(fmt::format("parameter {} is already part of another optimizer's store", name));
  for (const auto& [name, parameter] : parameters)
    if (parameter->slot().store->sealed())
      throw Error(
          fmt::format("parameter {} is read by a plan where it lies: make the optimizer before compiling", name));

  const auto store = std::make_shared<Store>(dtype, total);
  Index offset = 0;
  for (const auto& [name, parameter] : parameters) {
    parameter->rehome(store, offset);
    offset += padded(parameter->size());
  }
  return store;
}

}  // namespace wengert::nn
