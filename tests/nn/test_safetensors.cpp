// Weights files: round trips, and files that lie.
#define BOOST_TEST_MODULE safetensors
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <system_error>

#include "autodiff/autodiff.hpp"
#include "autodiff/io/files.hpp"
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
  const NamedArrays arrays{{"a", Array::of<float>({2, 2}, {1, 2, 3, 4})},
                           {"b.c", Array::of<double>({}, {0.1})},
                           {"n", Array::of<std::int32_t>({3}, {1, -2, 3})},
                           {"none", Array(Dtype::f32, {0, 4})}};
  write_safetensors(folder.path / "x", arrays);
  const NamedArrays read = read_safetensors(folder.path / "x");
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
    BOOST_CHECK_THROW(read_safetensors(folder.path / "bad"), Error);
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
    BOOST_CHECK_EXCEPTION(read_safetensors(folder.path / "bad"), Error, says((folder.path / "bad").string()));
    BOOST_CHECK_EXCEPTION(read_safetensors(folder.path / "bad"), Error, says(why));
  };
  refuses("", "shorter than a header");
  refuses(with_header("{}", "", 1'000'000'000'000), "the header claims 1000000000000 bytes");
  refuses(with_header("{}" + std::string(8, ' '), "", 11), "the header claims 11 bytes, the file has 10");
  const auto header = [&](const std::string& text, const std::string& why) { refuses(with_header(text, "1234"), why); };
  // What is no JSON object of entries.
  header("[]", "no JSON object");
  header("", "no JSON object");
  header(" {}", "no JSON object");
  header("\xef\xbb\xbf{}", "no JSON object");
  header(std::string("{}\0\0", 4), "a NUL at byte 2");
  header("{}{}", "no JSON in UTF-8 at byte 3");
  header("{\"a\":", "no JSON in UTF-8");
  header("{\"a\xff\":{}}", "no JSON in UTF-8 at byte 4");
  header("{'a':{}}", "no JSON in UTF-8 at byte 2");
  for (const char* value : {"3", "-3", "0.5", "null", "true", "\"x\"", "[]"})
    header("{\"a\":" + std::string(value) + "}", "tensor a: its entry is no object");
  for (const char* value : {"3", "true", "\"x\"", "[]", "{\"k\":1}", "{\"k\":null}", "{\"k\":{}}", "{\"k\":[\"v\"]}"})
    header("{\"__metadata__\":" + std::string(value) + "}", "__metadata__ is no object of strings");
  header("{\"__metadata__\":{},\"__metadata__\":{}}", "says __metadata__ twice");

  // One field of an entry that is otherwise good for the four bytes.
  using Fields = std::map<std::string, std::string>;
  const auto entry = [&](const Fields& changed) {
    Fields fields{{"dtype", "\"F32\""}, {"shape", "[1]"}, {"data_offsets", "[0,4]"}};
    for (const auto& [name, value] : changed) fields[name] = value;
    std::string text;
    for (const auto& [name, value] : fields)
      if (!value.empty()) text += (text.empty() ? "\"" : ",\"") + name + "\":" + value;
    return "{\"a\":{" + text + "}}";
  };
  replace_file(folder.path / "good", with_header(entry({{"extra", "[{\"x\":[null,-1.5e3,true]}]"}}), "1234"));
  BOOST_TEST(read_safetensors(folder.path / "good").size() == 1U);
  for (const char* field : {"dtype", "shape", "data_offsets"})
    header(entry({{field, ""}}), "tensor a: it lacks a dtype, a shape or data_offsets");
  header(entry({{"dtype", "\"F16\""}}), "tensor a: type F16 is not supported");
  for (const char* value : {"1", "null", "[\"F32\"]", "{}"})
    header(entry({{"dtype", value}}), "tensor a: its dtype is no string");
  for (const char* value : {"1", "null", "\"1\"", "{}", "{\"a\":1}", "[1.0]", "[1e0]", "[-1]", "[-0]", "[null]",
                            "[true]", "[[1]]", "[18446744073709551616]", "[1e300]"})
    header(entry({{"shape", value}}), "tensor a: its shape is no list of whole numbers");
  header(entry({{"shape", "[9223372036854775808]"}}), "tensor a: its shape is too large");
  header(entry({{"shape", "[0,18446744073709551615]"}}), "tensor a: its shape is too large");
  header(entry({{"shape", "[4294967296,4294967296]"}}), "no machine holds");
  header(entry({{"shape", "[1,1,1,1,1,1,1,1,1]"}}), "at most 8 axes");
  header(entry({{"shape", "[2]"}}), "its 8 bytes do not fit offsets 0 to 4 of 4 bytes");
  for (const char* value : {"4", "null", "{}", "[]", "[0]", "[0,4,4]", "[0,4.0]", "[0.9,4]", "[-0,4]", "[0,null]",
                            "[[0],4]", "[0,1e300]", "[0,1e400]", "[0,18446744073709551616]"})
    header(entry({{"data_offsets", value}}), std::string(value) == "[0,1e400]"
                                                 ? "no JSON in UTF-8"
                                                 : "tensor a: its data_offsets are not two whole numbers");
  header(entry({{"data_offsets", "[18446744073709551612,0]"}}), "tensor a: its data_offsets are too large");
  header(entry({{"data_offsets", "[4,8]"}}), "do not fit offsets 4 to 8 of 4 bytes");
  header(entry({{"data_offsets", "[4,0]"}}), "do not fit offsets 4 to 0");
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    const std::string once = entry({}), one = "\"" + std::string(field) + "\":",
                      value = field[0] == 'd' && field[1] == 't' ? "\"F32\","
                              : field[0] == 's'                  ? "[1],"
                                                                 : "[0,4],";
    header(once.substr(0, 6) + one + value + once.substr(6), "tensor a: it has two fields " + std::string(field));
  }

  // Tensors that do not share the data out.
  const auto tensors = [](std::initializer_list<const char*> offsets, const char* second = "b") {
    std::string text;
    for (const char* each : offsets)
      text += (text.empty() ? "{\"a\"" : ",\"" + std::string(second) + "\"") +
              ":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":" + each + "}";
    return text + "}";
  };
  const std::string twelve(12, 'x');
  refuses(with_header(tensors({"[0,4]", "[8,12]"}), twelve), "there is a gap of 4 bytes before tensor b");
  refuses(with_header(tensors({"[4,8]", "[8,12]"}), twelve), "there is a gap of 4 bytes before tensor a");
  refuses(with_header(tensors({"[0,4]", "[4,8]"}), twelve), "4 bytes of data belong to no tensor");
  refuses(with_header(tensors({"[0,4]", "[2,6]"}), "123456"), "tensor b overlaps another");
  refuses(with_header(tensors({"[0,4]", "[0,4]"}), "1234"), "overlaps another");
  refuses(with_header(tensors({"[0,4]", "[4,8]"}, "a"), "12345678"), "two tensors are named a");
  // An empty tensor has its place too.
  refuses(with_header(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[2,2]},)"
                      R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                      "1234"),
          "overlaps another");
}

BOOST_AUTO_TEST_CASE(a_header_may_be_in_any_order) {
  const Folder folder;
  replace_file(folder.path / "x", with_header(R"({"b":{"shape":[1],"data_offsets":[4,8],"dtype":"I32"},"__metadata__":)"
                                              R"({"by":"hand"},"none":{"dtype":"F32","shape":[3,0],"data_offsets":)"
                                              R"([4,4]},"a":{"dtype":"I32","shape":[],"data_offsets":[0,4]}} )",
                                              std::string("\1\0\0\0\2\0\0\0", 8)));
  const NamedArrays read = read_safetensors(folder.path / "x");
  BOOST_REQUIRE(read.size() == 3U);
  BOOST_TEST(read[0].first == "b");
  BOOST_TEST(read[0].second.at(0) == 2);
  BOOST_TEST((read[1].second.shape() == Shape{3, 0}));
  BOOST_TEST(read[2].second.at(0) == 1);
}

BOOST_AUTO_TEST_CASE(what_no_reader_would_take_is_not_written) {
  const Folder folder;
  const Array one = Array::of<float>({1}, {1});
  const fs::path path = folder.path / "x";
  const NamedArrays good{{"old", one}, {"quote\" \\ \n \xc3\xa9 \1", one}, {"", one}, {std::string("\0", 1), one}};
  write_safetensors(path, good);
  const std::string before = read_file(path);
  const auto refuses = [&](const NamedArrays& arrays, const std::string& why) {
    BOOST_CHECK_EXCEPTION(write_safetensors(path, arrays), Error, says("cannot write '" + path.string() + "': "));
    BOOST_CHECK_EXCEPTION(write_safetensors(path, arrays), Error, says(why));
    BOOST_TEST((read_file(path) == before));
  };
  refuses({{"w", one}, {"v", one}, {"w", one}}, "two tensors are named w");
  refuses({{"__metadata__", one}}, "no tensor can be named __metadata__");
  for (const char* name : {"\xff\xfe", "a\xc3", "\xc0\x80", "\xed\xa0\x80"}) refuses({{name, one}}, "is not UTF-8");
  refuses({{std::string(100'000'000, 'x'), one}}, "longer than the format allows");
  const NamedArrays read = read_safetensors(path);
  BOOST_REQUIRE(read.size() == good.size());
  for (std::size_t i = 0; i < good.size(); ++i) BOOST_TEST((read[i].first == good[i].first));
}

BOOST_AUTO_TEST_CASE(a_hostile_header_costs_no_more_than_its_length) {
  const Folder folder;
  const auto refuses = [&](const std::string& text, const std::string& why) {
    replace_file(folder.path / "bad", with_header(text, ""));
    BOOST_CHECK_EXCEPTION(read_safetensors(folder.path / "bad"), Error, says(why));
  };
  const std::string deep(5'000'000, '[');
  refuses("{\"a\":{\"extra\":" + deep, "nested too deep");
  refuses("{\"a\":{\"shape\":" + deep, "no list of whole numbers");
  refuses("{\"a\":" + deep, "no object");
  std::string objects = "{\"a\":{\"extra\":";
  for (int i = 0; i < 100'000; ++i) objects += "{\"\":";
  refuses(objects, "nested too deep");
  refuses("{\"" + std::string(1'000'000, 'n') + "\":3}", "nnn... (1000000 bytes)");
}

BOOST_AUTO_TEST_CASE(files_larger_than_memory_are_refused) {
  const Folder folder;
  const fs::path path = folder.path / "sparse";
  const std::string header = R"({"a":{"dtype":"F32","shape":[2199023255552],"data_offsets":[0,8796093022208]}})";
  replace_file(path, with_header(header, ""));
  std::error_code unable;
  fs::resize_file(path, 8 + header.size() + 8796093022208, unable);
  if (unable) {
    BOOST_TEST_MESSAGE("skipped: this file system holds no sparse file of 8 TB");
    return;
  }
  BOOST_CHECK_EXCEPTION(read_safetensors(path), Error, says("this machine's memory"));
}

BOOST_AUTO_TEST_CASE(many_tensors_take_no_longer_each) {  // minutes where a name is looked for among all
  struct Many : nn::Module {
    Many() {
      for (int i = 0; i < 100'000; ++i) parts.emplace_back(Array(Dtype::f32, {1}));
    }
    void children(nn::Visitor& visit) override {
      for (std::size_t i = 0; i < parts.size(); ++i) visit(std::to_string(i), parts[i]);
    }
    std::vector<nn::Parameter> parts;
  };
  const Folder folder;
  Many some, others;
  some.parts.back().set(Array::of<float>({1}, {7}));
  nn::save(some, folder.path / "x");
  nn::load(others, folder.path / "x");
  BOOST_TEST(others.parts.back().value().at(0) == 7);
}

BOOST_AUTO_TEST_CASE(mismatched_weights_are_refused_whole) {
  nn::Mlp net = make(1);
  const auto refuses = [&](const std::function<void(NamedArrays&)>& spoil, const std::string& why) {
    NamedArrays arrays;
    const nn::Mlp donor = make(2);
    for (const auto& [name, parameter] : donor.parameters()) arrays.emplace_back(name, parameter->value());
    spoil(arrays);
    BOOST_CHECK_EXCEPTION(nn::load(net, arrays, "w"), Error, says(why));
    BOOST_TEST(same(net, make(1)));
  };
  refuses([](auto& a) { a.pop_back(); }, "w: layers.1.bias is missing");
  refuses([](auto& a) { a.emplace_back(a[0]); }, "w: two arrays are named layers.0.weight");
  refuses([](auto& a) { a.emplace_back("extra", Array(Dtype::f32, {1})); },
          "w: extra is not a parameter of the module");
  refuses(
      [](auto& a) {
        a[2].second = Array(Dtype::f32, {5, 2});
      },
      "w: layers.1.weight has shape [5, 2], the module wants [2, 5]");
  refuses([](auto& a) { a[3].second.set(1, NAN); }, "w: layers.1.bias holds nan at element 1");
  refuses([](auto& a) { a[0].second.set(0, INFINITY); }, "w: layers.0.weight holds inf at element 0");
  refuses([](auto& a) { a[0].second = a[0].second.cast(Dtype::f64); }, "w: layers.0.weight is f64, the module f32");
}

BOOST_AUTO_TEST_CASE(missing_and_unwritable_files_are_named) {
  nn::Mlp net = make(1);
  BOOST_CHECK_EXCEPTION(nn::load(net, "no/such/file"), Error, says("no/such/file"));
  BOOST_CHECK_EXCEPTION(nn::save(net, "no/such/folder/file"), Error, says("no/such/folder"));
}
