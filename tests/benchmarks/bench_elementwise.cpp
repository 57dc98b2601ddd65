// Eager ops on arrays, lines of 10 and of 100 neighbours among them, as a user calls them: microseconds an op, recorded
// on a tape that is rewound in between.
//
//   bench_elementwise [--threads N...] [--rounds N] [--only NAME...]
//
// A row is a function, of all elements or of lines of 10 or 100 neighbours, a dtype, a number of elements (10^3, 10^5,
// 4 10^6) and a number of threads; rounds go over all rows. peers/elementwise.py times the same rows in PyTorch and,
// given this program, prints the ratios.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"

namespace {

using namespace wengert;

// f of two arrays of n numbers in [low, high), of which most functions read the first.
struct Task {
  const char* name;
  double low, high;
  Var (*f)(Var x, Var y);
};

const Task tasks[] = {
    {"add", -3, 3, [](Var x, Var y) { return x + y; }},
    {"multiply", -3, 3, [](Var x, Var y) { return x * y; }},
    {"divide", 0.5, 3, [](Var x, Var y) { return x / y; }},
    {"maximum", -3, 3, [](Var x, Var y) { return maximum(x, y); }},
    {"less", -3, 3, [](Var x, Var y) { return x < y; }},
    {"multiply by 2", -3, 3, [](Var x, Var) { return x * 2; }},
    {"abs", -3, 3, [](Var x, Var) { return abs(x); }},
    {"square", -3, 3, [](Var x, Var) { return square(x); }},
    {"sqrt", 0.1, 3, [](Var x, Var) { return sqrt(x); }},
    {"rsqrt", 0.1, 3, [](Var x, Var) { return rsqrt(x); }},
    {"reciprocal", 0.1, 3, [](Var x, Var) { return reciprocal(x); }},
    {"exp", -5, 5, [](Var x, Var) { return exp(x); }},
    {"exp2", -5, 5, [](Var x, Var) { return exp2(x); }},
    {"expm1", -5, 5, [](Var x, Var) { return expm1(x); }},
    {"log", 0.01, 100, [](Var x, Var) { return log(x); }},
    {"log2", 0.01, 100, [](Var x, Var) { return log2(x); }},
    {"log10", 0.01, 100, [](Var x, Var) { return log10(x); }},
    {"log1p", -0.9, 10, [](Var x, Var) { return log1p(x); }},
    {"pow", 0.1, 3, [](Var x, Var y) { return pow(x, y); }},
    {"pow 3", 0.1, 3, [](Var x, Var) { return pow(x, 3); }},
    {"pow 1.7", 0.1, 3, [](Var x, Var) { return pow(x, 1.7); }},
    {"sin", -10, 10, [](Var x, Var) { return sin(x); }},
    {"cos", -10, 10, [](Var x, Var) { return cos(x); }},
    {"tan", -10, 10, [](Var x, Var) { return tan(x); }},
    {"asin", -1, 1, [](Var x, Var) { return asin(x); }},
    {"acos", -1, 1, [](Var x, Var) { return acos(x); }},
    {"atan", -10, 10, [](Var x, Var) { return atan(x); }},
    {"atan2", -3, 3, [](Var x, Var y) { return atan2(x, y); }},
    {"hypot", -3, 3, [](Var x, Var y) { return hypot(x, y); }},
    {"sinh", -5, 5, [](Var x, Var) { return sinh(x); }},
    {"cosh", -5, 5, [](Var x, Var) { return cosh(x); }},
    {"tanh", -5, 5, [](Var x, Var) { return tanh(x); }},
    {"asinh", -5, 5, [](Var x, Var) { return asinh(x); }},
    {"acosh", 1, 10, [](Var x, Var) { return acosh(x); }},
    {"atanh", -1, 1, [](Var x, Var) { return atanh(x); }},
    {"erf", -3, 3, [](Var x, Var) { return erf(x); }},
    {"erfc", -3, 3, [](Var x, Var) { return erfc(x); }},
    {"erfinv", -1, 1, [](Var x, Var) { return erfinv(x); }},
    {"lgamma", 0.1, 10, [](Var x, Var) { return lgamma(x); }},
    {"digamma", 0.1, 10, [](Var x, Var) { return digamma(x); }},
    {"logaddexp", -5, 5, [](Var x, Var y) { return logaddexp(x, y); }},
    {"sigmoid", -5, 5, [](Var x, Var) { return sigmoid(x); }},
    {"log_sigmoid", -5, 5, [](Var x, Var) { return log_sigmoid(x); }},
    {"relu", -3, 3, [](Var x, Var) { return relu(x); }},
    {"leaky_relu", -3, 3, [](Var x, Var) { return leaky_relu(x); }},
    {"elu", -5, 5, [](Var x, Var) { return elu(x); }},
    {"silu", -5, 5, [](Var x, Var) { return silu(x); }},
    {"softplus", -5, 5, [](Var x, Var) { return softplus(x); }},
    {"gelu", -5, 5, [](Var x, Var) { return gelu(x); }},
    {"gelu_tanh", -5, 5, [](Var x, Var) { return gelu_tanh(x); }},
    {"mish", -5, 5, [](Var x, Var) { return mish(x); }},
    {"sum", -3, 3, [](Var x, Var) { return sum(x); }},
    {"mean", -3, 3, [](Var x, Var) { return mean(x); }},
    {"max", -3, 3, [](Var x, Var) { return max(x); }},
    {"cumsum", -3, 3, [](Var x, Var) { return cumsum(x, 0); }},
    {"cast", -3, 3, [](Var x, Var) { return cast(x, x.dtype() == Dtype::f32 ? Dtype::f64 : Dtype::f32); }},
    {"sum of 100", -3, 3,
     [](Var x, Var) {
       return sum(reshape(x, {-1, 100}), {1});
     }},
    {"max of 100", -3, 3,
     [](Var x, Var) {
       return max(reshape(x, {-1, 100}), {1});
     }},
    {"logsumexp of 100", -3, 3,
     [](Var x, Var) {
       return logsumexp(reshape(x, {-1, 100}), {1});
     }},
    {"softmax of 100", -3, 3,
     [](Var x, Var) {
       return softmax(reshape(x, {-1, 100}), 1);
     }},
    {"cumsum of 100", -3, 3,
     [](Var x, Var) {
       return cumsum(reshape(x, {-1, 100}), 1);
     }},
    {"sum of 10", -3, 3,
     [](Var x, Var) {
       return sum(reshape(x, {-1, 10}), {1});
     }},
    {"max of 10", -3, 3,
     [](Var x, Var) {
       return max(reshape(x, {-1, 10}), {1});
     }},
    {"logsumexp of 10", -3, 3,
     [](Var x, Var) {
       return logsumexp(reshape(x, {-1, 10}), {1});
     }},
    {"softmax of 10", -3, 3,
     [](Var x, Var) {
       return softmax(reshape(x, {-1, 10}), 1);
     }},
};

struct Row {
  const Task* task;
  Dtype dtype;
  Index elements;
  std::vector<std::vector<double>> times;  // microseconds, by number of threads
};

class Bench {
 public:
  explicit Bench(const Row& row) : task_(*row.task), tape_(row.dtype) {
    const Type type{row.dtype, {row.elements}};
    x_ = tape_.input(Rng(1).uniform(type, task_.low, task_.high));
    y_ = tape_.input(Rng(2).uniform(type, task_.low, task_.high));
    mark_ = tape_.mark();
    call();
  }
  // As many calls as an op of a large result takes to find how to write it.
  void settle() {
    for (int i = 0; i < 40; ++i) call();
  }
  // Microseconds a call, over calls of half a millisecond.
  double microseconds() {
    const auto start = std::chrono::steady_clock::now();
    int calls = 0;
    double time = 0;
    for (; time < 500; ++calls) {
      call();
      time = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    }
    return time / calls;
  }

 private:
  void call() {
    tape_.rewind(mark_);
    task_.f(x_, y_);
  }

  const Task& task_;
  Tape tape_;
  Var x_, y_;
  Tape::Mark mark_;
};

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("Microseconds of eager ops on arrays");
  std::vector<int> teams{1, 2};
  std::vector<std::string> only;
  int rounds = 7;
  app.add_option("--threads", teams, "numbers of threads")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--rounds", rounds, "timed rounds")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--only", only, "names of functions");
  CLI11_PARSE(app, count, arguments);

  std::vector<Row> rows;
  for (const Task& task : tasks)
    if (only.empty() || std::find(only.begin(), only.end(), task.name) != only.end())
      for (const Dtype dtype : {Dtype::f32, Dtype::f64})
        for (const Index elements : {1'000, 100'000, 4'000'000})
          rows.push_back({&task, dtype, elements, std::vector<std::vector<double>>(teams.size())});
  for (const Row& row : rows)
    for (const int team : teams)
      if (row.elements > 100'000) {
        set_threads(team);
        Bench(row).settle();
      }
  for (int round = 0; round < rounds; ++round)
    for (Row& row : rows) {
      Bench bench(row);
      for (std::size_t i = 0; i < teams.size(); ++i) {
        set_threads(teams[i]);
        row.times[i].push_back(bench.microseconds());
      }
    }
  for (std::size_t i = 0; i < teams.size(); ++i)
    for (const Row& row : rows)
      fmt::print("{:<16} {} {:>8} elements {:>2} threads {:>10.2f} us\n", row.task->name, name_of(row.dtype),
                 row.elements, teams[i], median(row.times[i]));
}
