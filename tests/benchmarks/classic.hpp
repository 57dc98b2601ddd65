// Classic functions to differentiate, G1 to G10, in f64: one unit of work is an evaluation of the derivative by a
// compiled plan. Their mathematics is that of GradBench (README.md has the table); peers/classic_jax.py writes the
// same.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "autodiff/plan.hpp"
#include "tests/benchmarks/workloads.hpp"

namespace wengert::benchmarks {

// `count` numbers in [0, 1), which the peers draw as well.
Array drawn(std::uint64_t seed, const Shape& shape);

// f of these arrays, by a plan.
Workload evaluation(const std::string& name, const std::string& what, std::vector<Array> inputs, const PlanFunction& f);

// Sums over data: G1 to G4.
Workload kmeans();
Workload least_squares();
Workload log_sum_exp(bool as_op);
Workload mixture();
// Recurrences: G5, G6, G10.
Workload lstm();
Workload runge_kutta(bool unrolled);
Workload saddle_point();
Workload particle();
// Geometry and a determinant: G7 to G9.
Workload determinant();
Workload hand();
Workload bundle_adjustment();

}  // namespace wengert::benchmarks
