#include "autodiff/plan/code/callee.hpp"

#include <fmt/format.h>

#include <exception>
#include <utility>

#include "autodiff/error.hpp"
#include "autodiff/op.hpp"

namespace wengert::plan::code {
namespace {

thread_local std::exception_ptr thrown;

}  // namespace

Callee::Callee(const CallSite& called) : site(called) {
  for (const Type& type : site.types) types.push_back(&type);
}

void Callee::run(std::byte* calls) const {
  const auto** data = reinterpret_cast<const void**>(calls + site.pointers);
  for (std::size_t i = 0; i < types.size(); ++i) data[i] = calls + site.operands[i];
  void* output = calls + site.output;
  if (site.count > 0) return site.op->block(site.count, data, output, site.type.dtype, site.attributes);
  try {
    site.op->run({{types, site.attributes}, {data, types.size()}, site.type, output, calls + site.scratch});
  } catch (const std::exception& refusal) {
    std::string text = refusal.what();
    for (const Origin& origin : site.origins) text = fmt::format("[{}] {}  ({})", origin.name, text, origin.location);
    throw Error(text);
  }
}

int call_from_code(const Callee* callee, std::byte* calls) noexcept {
  try {
    callee->run(calls);
    return 0;
  } catch (...) {
    thrown = std::current_exception();
    return 1;
  }
}

void rethrow() { std::rethrow_exception(std::exchange(thrown, nullptr)); }

}  // namespace wengert::plan::code
