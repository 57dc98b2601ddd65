// Read once for all tests rather than once a test: what comes from elsewhere, costs seconds, and never changes. Nothing
// of ours, so that tests show whether a header includes what it needs and a change rebuilds no more than it must. Not
// to be included: Meson does that, and GCC forbids #pragma once here.
#include <fmt/format.h>

#include <algorithm>
// All of <boost/test/unit_test.hpp> but main, which the file that includes it gets.
#include <boost/test/framework.hpp>
#include <boost/test/test_tools.hpp>
#include <boost/test/tree/auto_registration.hpp>
#include <boost/test/tree/decorator.hpp>
#include <boost/test/tree/global_fixture.hpp>
#include <boost/test/tree/test_case_template.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <numbers>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>
