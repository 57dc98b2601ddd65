#include <cmath>
#include <map>

#include "autodiff/autodiff.hpp"
#include "tests/benchmarks/classic.hpp"

namespace wengert::benchmarks {
namespace {

// Expansion by minors: of the rows from `row` on and these columns.
Var minor_of(const std::vector<std::vector<Var>>& entries, std::size_t row, const std::vector<std::size_t>& columns) {
  if (columns.size() == 1) return entries[row][columns[0]];
  Var sum;
  for (std::size_t j = 0; j < columns.size(); ++j) {
    std::vector<std::size_t> others = columns;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(j));
    const Var term = entries[row][columns[j]] * minor_of(entries, row + 1, others);
    sum = j == 0 ? term : j % 2 == 0 ? sum + term : sum - term;
  }
  return sum;
}

}  // namespace

Workload determinant() {
  const auto f = [](std::span<const Var> in) {
    const auto expanded = [](Var a) {
      std::vector<std::vector<Var>> entries(6);
      for (Index i = 0; i < 36; ++i) entries[static_cast<std::size_t>(i / 6)].push_back(a[i / 6][i % 6]);
      return minor_of(entries, 0, {0, 1, 2, 3, 4, 5});
    };
    const auto [y, g] = value_and_grad(expanded, in[0]);
    return std::vector{y, g};
  };
  return evaluation("G7", "determinant of 6 x 6 by minors", {drawn(1, {6, 6})}, f);
}

namespace {

constexpr Index bones = 22;  // the wrist, four of each of five fingers, the forearm
Index parent(Index bone) {
  return bone % 4 == 1 ? 0 : bone - 1;
}  // a finger's first hangs on the wrist, so the forearm

// Rotations about x, y and z by the angles [bones] of the pose, as homogeneous matrices [bones, 4, 4].
Var rotations(Var x, Var y, Var z) {
  const Var zero = zeros_like(x), one = ones_like(x);
  const auto matrix = [&](std::initializer_list<Operand> entries) { return reshape(stack(entries, 1), {bones, 4, 4}); };
  const Var cx = cos(x), sx = sin(x), cy = cos(y), sy = sin(y), cz = cos(z), sz = sin(z);
  const Var about_x = matrix({one, zero, zero, zero, zero, cx, -sx, zero, zero, sx, cx, zero, zero, zero, zero, one});
  const Var about_y = matrix({cy, zero, sy, zero, zero, one, zero, zero, -sy, zero, cy, zero, zero, zero, zero, one});
  const Var about_z = matrix({cz, -sz, zero, zero, sz, cz, zero, zero, zero, zero, one, zero, zero, zero, zero, one});
  return matmul(matmul(about_z, about_y), about_x);
}

// The rotation about an axis by its length. (Rodrigues.)
Var rotation(Var axis) {
  const Var angle = norm(axis), u = axis / angle, zero = axis.tape().zeros({});
  const Var cross = reshape(stack({zero, -u[2], u[1], u[2], zero, -u[0], -u[1], u[0], zero}, 0), {3, 3});
  return cos(angle) * axis.tape().eye(3) + (1 - cos(angle)) * outer(u, u) + sin(angle) * cross;
}

// The pose [bones, 3] of the 20 parameters of the fingers: a bend of each finger's last three bones about x, and a turn
// of the first of these about z.
Var pose_of(Var fingers) {
  const Var f = reshape(fingers, {5, 4}), zero = f.tape().zeros({5});
  const auto column = [&](Index i) { return select(f, 1, i); };
  const auto of_bones = [&](std::initializer_list<Operand> four) {
    const Var none = f.tape().zeros({1});
    return concat({none, reshape(stack(four, 1), {20}), none}, 0);
  };
  return stack({of_bones({zero, column(0), column(2), column(3)}), of_bones({zero, column(1), zero, zero})}, 0);
}

}  // namespace

// The Jacobian of the distances of 200 measured points from vertices of a hand, by its 26 parameters: a rotation, a
// translation and the bends of the fingers. A vertex follows the bones by its weights.
Workload hand() {
  constexpr Index vertices = 544, points = 200;
  Array chosen(Dtype::i32, {points});
  for (Index i = 0; i < points; ++i) chosen.set(i, static_cast<double>(i * 37 % vertices));
  const auto f = [=](std::span<const Var> in) {
    const Var theta = in[0], relatives = in[1], inverses = in[2], base = in[3], weights = in[4], measured = in[5];
    const auto errors = [&](Var p) {
      const Var pose = pose_of(slice(p, 0, 6));
      const Var posed = matmul(relatives, rotations(pose[0], zeros_like(pose[0]), pose[1]));
      std::vector<Var> absolutes;
      for (Index i = 0; i < bones; ++i)
        absolutes.push_back(i == 0 ? posed[0] : matmul(absolutes[static_cast<std::size_t>(parent(i))], posed[i]));
      const Var transforms = matmul(stack(absolutes, 0), inverses);
      const Var moved = slice(matmul(transforms, base), 1, 0, 3);  // [bones, 3, vertices]
      const Var local = sum(moved * unsqueeze(weights, 1), 0);     // [3, vertices]
      const Var global = matmul(rotation(slice(p, 0, 0, 3)), local) + unsqueeze(slice(p, 0, 3, 6), 1);
      return measured - transpose(index_select(global, 1, p.tape().input(chosen)));
    };
    return std::vector{jacobian(errors, theta, {.mode = JacobianMode::forward})};
  };
  return evaluation("G8", "hand: 22 bones, 544 vertices, 200 points, 26 parameters",
                    {drawn(1, {26}), drawn(2, {bones, 4, 4}), drawn(3, {bones, 4, 4}), drawn(4, {4, vertices}),
                     drawn(5, {bones, vertices}), drawn(6, {points, 3})},
                    f);
}

namespace {

// The image [p, 2] of points [p, 3] in cameras [p, 11]: a rotation, a centre, the focal length, the principal point,
// two coefficients of radial distortion.
Var projected(Var cameras, Var points) {
  const auto part = [&](Index begin, Index end) { return slice(cameras, 1, begin, end); };
  const Var rotation = part(0, 3), x = points - part(3, 6), angle = norm(rotation, 1, {.keepdims = true});
  const Var u = rotation / angle;
  const Var turned =
      x * cos(angle) + cross(u, x) * sin(angle) + u * sum(u * x, 1, {.keepdims = true}) * (1 - cos(angle));
  const Var image = slice(turned, 1, 0, 2) / slice(turned, 1, 2, 3);
  const Var r2 = sum(square(image), 1, {.keepdims = true});
  return part(6, 7) * image * (1 + part(9, 10) * r2 + part(10, 11) * square(r2)) + part(7, 9);
}

}  // namespace

// The blocks of the sparse Jacobian: of each observation's two errors by its camera, its point and its weight, and of
// 1 - w^2.
Workload bundle_adjustment() {
  constexpr Index cameras = 20, points = 1000, observations = 10000;
  Array camera(Dtype::i32, {observations}), point(Dtype::i32, {observations});
  for (Index i = 0; i < observations; ++i) {
    camera.set(i, static_cast<double>(i % cameras));
    point.set(i, static_cast<double>(i % points));
  }
  const auto f = [=](std::span<const Var> in) {
    Tape& tape = in[0].tape();
    const Var c = index_select(in[0], 0, tape.input(camera)), x = index_select(in[1], 0, tape.input(point)), w = in[2];
    const Var errors = w * (projected(c, x) - in[3]);
    std::vector<Var> blocks{errors};
    for (Index i = 0; i < 2; ++i)  // a row depends on its own observation: the gradient of the sum is that of each
      for (const Var block : grad(sum(select(errors, 1, i)), {c, x, w})) blocks.push_back(block);
    blocks.push_back(grad(sum(1 - square(w)), w));
    return blocks;
  };
  Array seen = drawn(1, {cameras, 11}), in_space = drawn(2, {points, 3});  // every point before every camera
  for (Index i = 0; i < seen.size(); ++i) seen.set(i, 0.2 * seen.at(i));
  for (Index i = 2; i < in_space.size(); i += 3) in_space.set(i, in_space.at(i) + 2);
  return evaluation("G9", "bundle adjustment: 20 cameras, 1000 points, 10000 observations",
                    {seen, in_space, drawn(3, {observations, 1}), drawn(4, {observations, 2})}, f);
}

}  // namespace wengert::benchmarks
