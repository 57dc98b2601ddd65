// Arrays as text, as NumPy prints them: unique digits, 8 of them behind the point at most, in columns.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/array.hpp"
#include "autodiff/var.hpp"

namespace wengert {
namespace {

constexpr Index threshold = 1000, edge = 3;  // larger arrays are summarised, by so many items at each end of an axis
constexpr std::size_t line_width = 75;
constexpr int precision = 8;  // digits behind the point

// A number as +-0.d1d2d3... times ten to the `point`.
struct Digits {
  bool negative;
  std::string digits;
  int point;
};

Digits parsed(std::string_view scientific) {  // "-1.25e-07"
  Digits result{scientific.starts_with('-'), "", 0};
  const std::size_t e = scientific.find('e');
  for (char c : scientific.substr(0, e))
    if (c >= '0' && c <= '9') result.digits += c;
  const std::string_view exponent = scientific.substr(e + (scientific[e + 1] == '+' ? 2 : 1));
  std::from_chars(exponent.data(), exponent.data() + exponent.size(), result.point);
  ++result.point;
  while (result.digits.size() > 1 && result.digits.back() == '0') result.digits.pop_back();
  return result;
}

template <class T, class... Precision>
std::string converted_text(T x, std::chars_format format, Precision... digits) {
  std::array<char, 400> text;  // 308 digits before the point
  const auto end = std::to_chars(text.data(), text.data() + text.size(), x, format, digits...).ptr;
  return {text.data(), end};
}

// The digits that tell x from its neighbours, or the nearest number of `precision` digits behind the point where that
// is shorter.
template <class T>
Digits shortest(T x, bool exponents, int most) {
  const Digits unique = parsed(converted_text(x, std::chars_format::scientific));
  const int count = static_cast<int>(unique.digits.size()), behind = exponents ? count - 1 : count - unique.point;
  if (behind <= most) return unique;
  if (exponents) return parsed(converted_text(x, std::chars_format::scientific, most));
  std::string fixed = converted_text(x, std::chars_format::fixed, most);  // "-0.00123457"
  Digits result{unique.negative, "", 0};
  const std::size_t begin = unique.negative ? 1 : 0, point = fixed.find('.');
  result.digits = fixed.substr(begin, point - begin) + fixed.substr(point + 1);
  result.point = static_cast<int>(point - begin);
  while (result.digits.size() > 1 && result.digits.back() == '0') result.digits.pop_back();
  return result;
}

// The parts of a number before and behind the point, and the exponent.
struct Parts {
  std::string before, behind, exponent;
};

Parts positional(const Digits& d) {
  Parts parts{d.negative ? "-" : "", "", ""};
  const int count = static_cast<int>(d.digits.size());
  if (d.point <= 0) {
    parts.before += '0';
    if (d.digits != "0") parts.behind = std::string(static_cast<std::size_t>(-d.point), '0') + d.digits;
  } else if (count <= d.point) {
    parts.before += d.digits + std::string(static_cast<std::size_t>(d.point - count), '0');
  } else {
    parts.before += d.digits.substr(0, static_cast<std::size_t>(d.point));
    parts.behind = d.digits.substr(static_cast<std::size_t>(d.point));
  }
  // "00.5" of digits that begin with the zero before the point
  const std::size_t sign = d.negative ? 1 : 0;
  while (parts.before.size() > sign + 1 && parts.before[sign] == '0') parts.before.erase(sign, 1);
  return parts;
}

Parts scientific(const Digits& d) {
  const int exponent = d.digits == "0" ? 0 : d.point - 1;
  std::string text(1, exponent < 0 ? '-' : '+'), before(d.negative ? "-" : "");
  if (std::abs(exponent) < 10) text += '0';
  text += std::to_string(std::abs(exponent));
  before += d.digits[0];
  return {before, d.digits.substr(1), text};
}

// Texts of one width for the elements of an array of T that are shown.
template <class T>
class Column {
 public:
  explicit Column(const std::vector<T>& shown) {
    T largest = 0, smallest = std::numeric_limits<T>::max();
    bool any = false, all_finite = true, negative_infinity = false;
    for (T x : shown) {
      all_finite = all_finite && std::isfinite(x);
      negative_infinity = negative_infinity || (std::isinf(x) && x < 0);
      if (!std::isfinite(x) || x == 0) continue;
      any = true;
      largest = std::max(largest, std::abs(x));
      smallest = std::min(smallest, std::abs(x));
    }
    const T many = sizeof(T) == sizeof(float) ? T(1e6) : T(1e8);
    exponents_ = any && (largest >= many || smallest < T(0.0001) || largest / smallest > T(1000));
    std::size_t exponent = 0;
    for (T x : shown) {
      if (!std::isfinite(x)) continue;
      const Parts parts = of(x);
      before_ = std::max(before_, parts.before.size());
      behind_ = std::max(behind_, parts.behind.size());
      exponent = std::max(exponent, parts.exponent.size());
    }
    exponent_ = exponent;
    if (all_finite) return;
    const std::size_t after = 1 + behind_ + (exponents_ ? 1 + exponent_ : 0), widest = negative_infinity ? 4 : 3;
    if (before_ + after < widest) before_ = widest - after;
  }

  std::string text(T x) const {
    const std::size_t after = 1 + behind_ + (exponents_ ? 1 + exponent_ : 0);
    if (!std::isfinite(x)) {
      const std::string word = std::isnan(x) ? "nan" : x < 0 ? "-inf" : "inf";
      return std::string(before_ + after - word.size(), ' ') + word;
    }
    Parts parts = of(x);
    if (exponents_) {  // a number with fewer digits than others goes on with those that it has
      parts = scientific(parsed(converted_text(x, std::chars_format::scientific, static_cast<int>(behind_))));
      parts.behind.append(behind_ - parts.behind.size(), '0');
      parts.exponent.insert(1, exponent_ - parts.exponent.size(), '0');
      parts.behind += 'e' + parts.exponent;
    } else {
      parts.behind.append(behind_ - parts.behind.size(), ' ');
    }
    return std::string(before_ - parts.before.size(), ' ') + parts.before + '.' + parts.behind;
  }

 private:
  Parts of(T x) const {
    const Digits digits = shortest(x, exponents_, precision);
    return exponents_ ? scientific(digits) : positional(digits);
  }
  bool exponents_ = false;
  std::size_t before_ = 0, behind_ = 0, exponent_ = 0;
};

template <>
class Column<std::int32_t> {
 public:
  explicit Column(const std::vector<std::int32_t>& shown) {
    for (std::int32_t x : shown) width_ = std::max(width_, std::to_string(x).size());
  }
  std::string text(std::int32_t x) const {
    const std::string number = std::to_string(x);
    return std::string(width_ - number.size(), ' ') + number;
  }

 private:
  std::size_t width_ = 0;
};

// A number by itself: all digits that it needs, "0.1", "1.0", "1e-05".
template <class T>
std::string alone(T x) {
  if (!std::isfinite(x)) return std::isnan(x) ? "nan" : x < 0 ? "-inf" : "inf";
  const double size = std::abs(static_cast<double>(x));
  const Digits digits = parsed(converted_text(x, std::chars_format::scientific));
  if (size == 0 || (size < (sizeof(T) == sizeof(float) ? 1e6 : 1e16) && size >= 1e-4)) {
    const Parts parts = positional(digits);
    return parts.before + '.' + (parts.behind.empty() ? "0" : parts.behind);
  }
  const Parts parts = scientific(digits);
  return parts.before + (parts.behind.empty() ? "" : "." + parts.behind) + 'e' + parts.exponent;
}
std::string alone(std::int32_t x) { return std::to_string(x); }

std::string without_trailing(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

template <class T>
class Printer {
 public:
  explicit Printer(const Array& array)
      : data_(array.data<T>()), shape_(array.shape()), summary_(array.size() > threshold), column_(shown()) {}

  std::string text() const { return axis(0, 0, 1, line_width); }

 private:
  // f(index) for the items of an axis that are shown; nothing() where some are left out.
  template <class F, class Nothing>
  void for_items(int axis, const F& f, const Nothing& nothing) const {
    const Index extent = shape_[axis];
    const bool cut = summary_ && extent > 2 * edge;
    for (Index i = 0; i < extent; ++i) {
      if (cut && i == edge) {
        nothing();
        i = extent - edge;
      }
      f(i);
    }
  }
  void gather(int axis, Index offset, std::vector<T>& to) const {
    const auto visit = [&](Index i) {
      if (axis + 1 == shape_.rank())
        to.push_back(data_[static_cast<std::size_t>(offset + i)]);
      else
        gather(axis + 1, (offset + i) * shape_[axis + 1], to);
    };
    for_items(axis, visit, [] {});
  }
  std::vector<T> shown() const {
    std::vector<T> all;
    gather(0, 0, all);
    return all;
  }

  // The text of the items at `offset` (counted in items of this axis), `indent` columns from the left.
  std::string axis(int axis, Index offset, std::size_t indent, std::size_t width) const {
    return axis + 1 == shape_.rank() ? row(axis, offset, indent, width) : block(axis, offset, indent, width);
  }
  std::string row(int axis, Index offset, std::size_t indent, std::size_t width) const {
    std::string lines, line(indent, ' ');
    const auto add = [&](const std::string& word) {
      if (line.size() + word.size() > width - 1 && line.size() > indent) {
        lines += without_trailing(line) + '\n';
        line = std::string(indent, ' ');
      }
      line += word;
    };
    for_items(
        axis,
        [&](Index i) {
          add(column_.text(data_[static_cast<std::size_t>(offset + i)]));
          if (i + 1 < shape_[axis]) line += ' ';
        },
        [&] {
          add("...");
          line += ' ';
        });
    return '[' + (lines + line).substr(indent) + ']';
  }
  std::string block(int at, Index offset, std::size_t indent, std::size_t width) const {
    std::string text;
    const std::string end(static_cast<std::size_t>(shape_.rank() - at - 1), '\n'), begin(indent, ' ');
    for_items(
        at,
        [&](Index i) {
          text += begin + axis(at + 1, (offset + i) * shape_[at + 1], indent + 1, width - 1);
          if (i + 1 < shape_[at]) text += end;
        },
        [&] { text += begin + "..." + end; });
    return '[' + text.substr(indent) + ']';
  }

  std::span<const T> data_;
  const Shape& shape_;
  bool summary_;
  Column<T> column_;
};

}  // namespace

std::string to_string(const Array& array) {
  if (array.size() == 0) return "[]";
  return dispatch(array.dtype(), [&]<class T>() -> std::string {
    if (array.shape().rank() == 0) return alone(array.data<T>()[0]);
    return Printer<T>(array).text();
  });
}

std::ostream& operator<<(std::ostream& out, const Array& array) { return out << to_string(array); }

std::string to_string(Var x, Where where) { return to_string(x.value(where)); }

std::ostream& operator<<(std::ostream& out, const Operand& x) {
  x.type("print");
  return out << to_string(x.var(), x.where());
}

}  // namespace wengert
