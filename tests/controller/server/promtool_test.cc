// Prometheus's own judge on our pages. Its absence is a failure: `make setup` installs it.

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/controller/server/sample_view.h"

namespace broadside::server {
namespace {

struct Verdict {
  int exit_code = -1;
  std::string output;
};

Verdict CheckMetrics(const std::string& text) {
  std::string path = testing::TempDir() + "metrics-XXXXXX";
  const int fd = mkstemp(path.data());
  EXPECT_GE(fd, 0);
  EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(fd);
  Verdict verdict;
  FILE* pipe = popen(("promtool check metrics <" + path + " 2>&1").c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  char buffer[4096];
  while (const size_t size = fread(buffer, 1, sizeof buffer, pipe)) {
    verdict.output.append(buffer, size);
  }
  const int status = pclose(pipe);
  verdict.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  unlink(path.c_str());
  return verdict;
}

std::string PageOf(MetricsView view) {
  MetricsBoard board;
  board.Publish(std::make_shared<MetricsView>(std::move(view)));
  return board.Text();
}

TEST(Promtool, FindsNothingWrongWithARun) {
  const Verdict verdict = CheckMetrics(PageOf(SampleView()));
  EXPECT_EQ(verdict.exit_code, 0) << verdict.output;
  EXPECT_EQ(verdict.output, "");
}

TEST(Promtool, FindsNothingWrongWithoutRuns) {
  const Verdict verdict = CheckMetrics(PageOf({}));
  EXPECT_EQ(verdict.exit_code, 0) << verdict.output;
  EXPECT_EQ(verdict.output, "");
}

TEST(Promtool, WouldSayIfSomethingWere) {
  EXPECT_EQ(CheckMetrics("broken{ 1\n").exit_code, 1);
  EXPECT_EQ(CheckMetrics("# TYPE x_total gauge\nx_total 1\n").exit_code, 3);
}

}  // namespace
}  // namespace broadside::server
