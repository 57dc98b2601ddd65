// Weights files: round trips, and files that lie.
#define BOOST_TEST_MODULE safetensors
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>

#include "autodiff/autodiff.hpp"
#include "autodiff/files.hpp"
#include "nn/nn.hpp"

using namespace wengert;
namespace fs = std::filesystem;

namespace {

// A folder of its own, removed at the end.
struct Folder {
  Folder() : path(fs::temp_directory_path() / ("wengert_safetensors_" + std::to_string(std::random_device()()))) {
    fs::create_directory(path);
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

nn::Mlp make(std::uint64_t seed, Dtype dtype = Dtype::f32) {
  Rng rng(seed);
  return nn::Mlp({.in = 3, .hidden = {5}, .out = 2, .activation = relu, .dtype = dtype}, rng);
}

bool same(const nn::Mlp& a, const nn::Mlp& b) {
  const auto left = a.parameters(), right = b.parameters();
  for (std::size_t i = 0; i < left.size(); ++i)
    for (Index j = 0; j < left[i].second->size(); ++j)
      if (left[i].second->value().at(j) != right[i].second->value().at(j)) return false;
  return left.size() == right.size();
}

auto says(const std::string& part) {
  return [part](const Error& e) {
    BOOST_TEST_MESSAGE(e.what());
    return std::string(e.what()).find(part) != std::string::npos;
  };
}

std::string with_header(const std::string& header, const std::string& data, std::uint64_t claimed = 0) {
  const std::uint64_t length = claimed == 0 ? header.size() : claimed;
  std::string file;
  for (int i = 0; i < 8; ++i) file.push_back(static_cast<char>(length >> (8 * i) & 0xff));
  return file + header + data;
}

}  // namespace

BOOST_AUTO_TEST_CASE(weights_survive_a_round_trip) {
  const Folder folder;
  const nn::Mlp net = make(1);
  nn::Mlp other = make(2);
  nn::save(net, folder.path / "net.safetensors");
  BOOST_TEST(!same(net, other));
  nn::load(other, folder.path / "net.safetensors");
  BOOST_TEST(same(net, other));
  nn::Mlp wide = make(3, Dtype::f64);
  nn::load(wide, folder.path / "net.safetensors");
  BOOST_TEST(wide.parameters()[0].second->value().at(0) == net.parameters()[0].second->value().at(0));
}

BOOST_AUTO_TEST_CASE(arrays_of_every_type_and_shape_survive) {
  const Folder folder;
  const nn::NamedArrays arrays{{"a", Array::of<float>({2, 2}, {1, 2, 3, 4})},
                               {"b.c", Array::of<double>({}, {0.1})},
                               {"n", Array::of<std::int32_t>({3}, {1, -2, 3})},
                               {"none", Array(Dtype::f32, {0, 4})}};
  nn::write_safetensors(folder.path / "x", arrays);
  const nn::NamedArrays read = nn::read_safetensors(folder.path / "x");
  BOOST_REQUIRE(read.size() == arrays.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    BOOST_TEST(read[i].first == arrays[i].first);
    BOOST_TEST((read[i].second.type() == arrays[i].second.type()));
    BOOST_TEST(std::memcmp(read[i].second.raw(), arrays[i].second.raw(), arrays[i].second.type().bytes()) == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_loaded_module_is_seen_by_a_tape) {
  const Folder folder;
  nn::Mlp net = make(1);
  nn::save(make(2), folder.path / "x");
  Tape tape;
  const Var before = net(tape.full(Shape{1, 3}, 1));
  nn::load(net, folder.path / "x");
  BOOST_TEST(net(tape.full(Shape{1, 3}, 1)).value().at(0) != before.value().at(0));
}

BOOST_AUTO_TEST_CASE(every_truncation_and_many_corruptions_are_refused_or_harmless) {
  const Folder folder;
  nn::save(make(1), folder.path / "good");
  const std::string good = read_file(folder.path / "good");
  for (std::size_t length = 0; length < good.size(); length += 1 + length / 40) {
    replace_file(folder.path / "bad", std::string_view(good).substr(0, length));
    BOOST_CHECK_THROW(nn::read_safetensors(folder.path / "bad"), Error);
  }
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {  // never a crash, and a refused file changes nothing
    std::string bad = good;
    for (int k = 0; k < 3; ++k) bad[random() % 400] = static_cast<char>(random());
    replace_file(folder.path / "bad", bad);
    nn::Mlp net = make(9);
    try {
      nn::load(net, folder.path / "bad");
    } catch (const Error&) {
      BOOST_REQUIRE(same(net, make(9)));
    }
  }
}

BOOST_AUTO_TEST_CASE(lying_headers_are_refused) {
  const Folder folder;
  const auto refuses = [&](const std::string& file, const std::string& why) {
    replace_file(folder.path / "bad", file);
    BOOST_CHECK_EXCEPTION(nn::read_safetensors(folder.path / "bad"), Error, says(why));
  };
  refuses("", "shorter than a header");
  refuses(with_header("{}", "", 1'000'000'000'000), "the header claims 1000000000000 bytes");
  refuses(with_header("[]", ""), "no JSON object");
  refuses(with_header("{\"a\": 3}", ""), "tensor a");
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return "{\"a\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
  };
  refuses(with_header(entry("F16", "[2]", "[0,4]"), "1234"), "type F16 is not supported");
  refuses(with_header(entry("F32", "[2]", "[0,4]"), "1234"), "8 bytes do not fit offsets 0 to 4");
  refuses(with_header(entry("F32", "[1]", "[4,8]"), "1234"), "do not fit offsets 4 to 8 of 4 bytes");
  refuses(with_header(entry("F32", "[1]", "[8,4]"), "1234"), "do not fit offsets");
  refuses(with_header(entry("F32", "[4294967296,4294967296]", "[0,4]"), "1234"), "its shape is too large");
  refuses(with_header(entry("F32", "[-1]", "[0,4]"), "1234"), "tensor a");
  refuses(with_header(entry("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "1234"), "at most 8 axes");
  refuses(with_header(entry("F32", "[1]", "[0,4]"), "12345678"), "4 bytes of data belong to no tensor");
  refuses(with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\","
                      "\"shape\":[1],\"data_offsets\":[0,4]}}",
                      "1234"),
          "overlaps");
}

BOOST_AUTO_TEST_CASE(mismatched_weights_are_refused_whole) {
  nn::Mlp net = make(1);
  const auto refuses = [&](const std::function<void(nn::NamedArrays&)>& spoil, const std::string& why) {
    nn::NamedArrays arrays;
    const nn::Mlp donor = make(2);
    for (const auto& [name, parameter] : donor.parameters()) arrays.emplace_back(name, parameter->value());
    spoil(arrays);
    BOOST_CHECK_EXCEPTION(nn::load(net, arrays, "w"), Error, says(why));
    BOOST_TEST(same(net, make(1)));
  };
  refuses([](auto& a) { a.pop_back(); }, "w: layers.1.bias is missing");
  refuses([](auto& a) { a.emplace_back("extra", Array(Dtype::f32, {1})); },
          "w: extra is not a parameter of the module");
  refuses(
      [](auto& a) {
        a[2].second = Array(Dtype::f32, {5, 2});
      },
      "w: layers.1.weight has shape [5, 2], the module wants [2, 5]");
  refuses([](auto& a) { a[3].second.set(1, NAN); }, "w: layers.1.bias holds nan at element 1");
  refuses([](auto& a) { a[0].second = a[0].second.cast(Dtype::f64); }, "w: layers.0.weight is f64, the module f32");
}

BOOST_AUTO_TEST_CASE(missing_and_unwritable_files_are_named) {
  nn::Mlp net = make(1);
  BOOST_CHECK_EXCEPTION(nn::load(net, "no/such/file"), Error, says("no/such/file"));
  BOOST_CHECK_EXCEPTION(nn::save(net, "no/such/folder/file"), Error, says("no/such/folder"));
}
