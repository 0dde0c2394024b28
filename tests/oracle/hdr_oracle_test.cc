#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "common/stats/codec.h"

/// Our histograms against those of HdrHistogram's Java and JavaScript implementations: each side
/// reads what the other wrote. One process of theirs handles all samples of a test.
namespace broadside::stats {
namespace {

namespace fs = std::filesystem;

using Sample = std::vector<std::pair<int64_t, uint64_t>>;  // value, how often

std::map<std::string, Sample> Samples() {
  std::map<std::string, Sample> samples = {
      {"empty", {}},
      {"one", {{1, 1}}},
      {"zero", {{0, 3}}},
      {"small",
       {{0, 1}, {1, 1}, {2, 1}, {2047, 3}, {2048, 1}, {2049, 1}, {4095, 1}, {1'000'000, 1}}},
      {"wide",
       {{0, 1},
        {1, 1},
        {2047, 1},
        {2048, 1},
        {4095, 1},
        {1'000'000, 1},
        {1'000'000'000, 1},
        {kHighest, 1}}},
      {"large_counts", {{5'000, 3'000'000'000}, {7'000'000, 1'234'567'890'123}}},
      // Where rounding the rank up and rounding it half up differ.
      {"n91", {}},
      {"n160", {}},
      {"dense", {}},
      {"lognormal", {}},
      {"every_bucket", {}},
  };
  for (int64_t i = 1; i <= 91; ++i) samples["n91"].emplace_back(i, 1);
  for (int64_t i = 1; i <= 160; ++i) samples["n160"].emplace_back(i, 1);
  for (int64_t i = 1; i <= 5000; ++i) samples["dense"].emplace_back(i * 1000, 1);
  std::mt19937_64 random(20261124);
  std::lognormal_distribution<double> latency(std::log(2e6), 0.5);
  for (int i = 0; i < 20'000; ++i) {
    samples["lognormal"].emplace_back(static_cast<int64_t>(latency(random)), 1);
  }
  for (int bits = 0; bits < 42; ++bits) {
    const int64_t value = std::min(int64_t{1} << bits, kHighest);
    samples["every_bucket"].emplace_back(value, 1 + random() % 9);
    samples["every_bucket"].emplace_back(value - 1, 1 + random() % 9);
  }
  return samples;
}

Histogram Record(const Sample& sample) {
  Histogram histogram;
  for (const auto& [value, times] : sample) histogram.Record(value, times);
  return histogram;
}

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (fs::temp_directory_path() / "broadside-oracle-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// "n max p50 p90 p99 p99.9" as the oracles print it. Exact figures are not in the format, so this
/// is about the slots.
std::string Describe(const Histogram& histogram) {
  const auto decoded = DecodeV2(EncodeV2(histogram));
  std::ostringstream out;
  out << decoded->n() << ' ' << decoded->exact().max;
  for (const Ppm ppm : {500'000, 900'000, 990'000, 999'000}) {
    out << ' ' << decoded->Percentile(ppm).value_or(0);
  }
  out << '\n';
  return out.str();
}

/// `command` gets the directory as its last argument and has a minute.
void Compare(const std::string& command) {
  const TemporaryDirectory directory;
  const auto file = [&directory](const std::string& name) { return directory.path() / name; };
  const std::map<std::string, Sample> samples = Samples();
  for (const auto& [name, sample] : samples) {
    std::ofstream values(file(name + ".values"));
    for (const auto& [value, times] : sample) values << value << ' ' << times << '\n';
    std::ofstream(file(name + ".ours")) << Base64Encode(EncodeV2Compressed(Record(sample)));
  }
  const std::string line = "timeout 60 " + command + " '" + directory.path().string() + "' 2>'" +
                           file("stderr").string() + "'";
  ASSERT_EQ(std::system(line.c_str()), 0) << line << "\n" << ReadFile(file("stderr"));
  for (const auto& [name, sample] : samples) {
    SCOPED_TRACE(name);
    const Histogram ours = Record(sample);
    EXPECT_EQ(ReadFile(file(name + ".read")), Describe(ours)) << "they read what we wrote";
    const auto bytes = Base64Decode(ReadFile(file(name + ".theirs")));
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    const auto theirs = DecodeV2(*bytes);
    ASSERT_TRUE(theirs.ok()) << theirs.status();
    EXPECT_EQ(EncodeCounts(*theirs), EncodeCounts(ours)) << "we read what they wrote";
    const auto log = ReadLog(ReadFile(file(name + ".hlog")), name + ".hlog");
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_EQ(log->size(), 1U);
    EXPECT_EQ(log->front().tag, "oracle");
    EXPECT_DOUBLE_EQ(log->front().start_s, 1'700'000'001.0);
    EXPECT_DOUBLE_EQ(log->front().length_s, 1.5);
    EXPECT_EQ(EncodeCounts(log->front().histogram), EncodeCounts(ours));
  }
}

bool Runs(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

TEST(HdrOracle, Java) {
  const std::string jar = "/usr/share/java/hdrhistogram.jar";
  ASSERT_TRUE(Runs("java -version")) << "java is missing: apt install default-jdk-headless";
  ASSERT_TRUE(Runs("javac -version"))
      << "java is here without its compiler: apt install default-jdk-headless";
  ASSERT_TRUE(fs::exists(jar)) << jar << " is missing: apt install libhdrhistogram-java";
  Compare("java -XX:+UseSerialGC -cp " + jar + " '" ORACLE_DIR "/HdrOracle.java'");
}

TEST(HdrOracle, JavaScript) {
  ASSERT_TRUE(Runs("node --version")) << "node is missing: apt install nodejs npm";
  ASSERT_TRUE(fs::exists(ORACLE_DIR "/node_modules/hdr-histogram-js"))
      << "hdr-histogram-js is missing: run npm ci in " ORACLE_DIR;
  Compare("node '" ORACLE_DIR "/hdr_oracle.mjs'");
}

}  // namespace
}  // namespace broadside::stats
