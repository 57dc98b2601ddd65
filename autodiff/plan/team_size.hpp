// TeamSize: how many threads a plan runs on, found by timing its own runs.
//
// How much threads gain depends on what no program can know: how far apart the cores are, and who else is at work on
// them. The number changes no bit of the results, so a plan may try: the first runs on all threads, then some on half
// of them, and so on for as long as fewer are faster. From time to time it looks again, and at once when runs become
// slow. What is lost by trying is below 1 % of the time in the long run.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <string>

namespace wengert::plan {

class TeamSize {
 public:
  // The number of threads for the next run, at most `most`, of which another value starts everything anew.
  int next(int most);
  // The seconds that the run took which next() was asked for.
  void took(double seconds);
  // "threads: 1 of 2 (0.690 ms a run; on 2 1.010 ms)" and a line's end; nothing before the first trial has ended.
  std::string text() const;

 private:
  static constexpr int block = 4;  // runs on one number of threads; the first moves the data between caches

  void start_trial(int other);
  void decide();
  void settle();
  int half() const { return (size_ + 1) / 2; }
  int twice() const { return std::min(2 * size_, most_); }

  int most_ = 0, size_ = 1;
  int other_ = 1;  // that the trial compares with
  bool trying_ = false;
  int run_ = 0;                                     // of the trial, or since
  std::array<double, block - 1> own_{}, others_{};  // seconds of the trial's runs
  double usual_ = 0;                                // seconds of a run
  double lost_ = 0;                                 // by the last trials, in seconds
  int slow_ = 0, next_trial_ = 0;                   // runs
  bool up_ = false;                                 // the direction of the next trial
  struct Said {                                     // by text(), which another thread may ask for
    std::atomic<int> size{0}, of{0}, other{0};
    std::atomic<double> seconds{0}, others{0};
  } said_;
};

}  // namespace wengert::plan
