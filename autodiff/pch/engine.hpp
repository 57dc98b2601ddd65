// Read once for all sources rather than once a source; see tests/pch/tests.hpp. A source includes what it uses all the
// same: CI also builds without precompiled headers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "autodiff/kernels/xsimd.hpp"
