// All that an experiment needs besides the library.
#pragma once
#include "experiments/common/figure.hpp"
#include "experiments/common/figures.hpp"
#include "experiments/common/interrupt.hpp"
#include "experiments/common/options.hpp"
#include "experiments/common/progress.hpp"
#include "experiments/common/report.hpp"
#include "experiments/common/run.hpp"
#include "experiments/common/sample.hpp"
#include "experiments/common/statistics.hpp"
#include "experiments/common/timer.hpp"
#include "experiments/common/train.hpp"
