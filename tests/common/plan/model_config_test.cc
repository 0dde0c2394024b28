#include "common/plan/model_config.h"

#include <gmock/gmock.h>

namespace broadside::plan {
namespace {

std::string Error(std::string_view text) {
  const auto config = ParseModelConfigText(text, "config.pbtxt");
  return config.ok() ? "no error" : MessageOf(config.status());
}

// As the guide has it: no braces, no name, a comment in another language above.
const char kGuide[] = R"(# 典型config.pbtxt配置
platform: "tensorrt_plan"
max_batch_size: 128
input [
  {
    name: "input"
    data_type: TYPE_FP32
    dims: [ 3, 224, 224 ]
  }
]
output [
  {
    name: "output"
    data_type: TYPE_FP32
    dims: [ 1000 ]
  }
]
)";

TEST(ModelConfigText, TheGuidesExample) {
  for (const std::string& text : {std::string(kGuide), "```\n" + std::string(kGuide) + "```\n",
                                  "{" + std::string(kGuide) + "}"}) {
    const auto config = ParseModelConfigText(text, "config.pbtxt");
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->max_batch_size, 128);
    EXPECT_FALSE(config->decoupled);
    EXPECT_THAT(config->inputs,
                testing::ElementsAre(TensorSpec{"input", "FP32", {3, 224, 224}, false}));
    EXPECT_THAT(config->outputs, testing::ElementsAre(TensorSpec{"output", "FP32", {1000}, false}));
  }
}

TEST(ModelConfigText, UnknownFieldsAndEveryWayToWriteAreRead) {
  const auto config = ParseModelConfigText(R"(
name: 'bert' "-base"
backend: "onnxruntime"; max_batch_size: 8,
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
instance_group [ { count: 1 kind: KIND_GPU gpus: [0] } ]
parameters: { key: "x" value: { string_value: "a\"b{" } }
[some.extension/name] { a: 1 }
input < name: "ids" data_type: TYPE_INT64 dims: -1 dims: 2 reshape { shape: [ ] } >
input { name: "text", data_type: 13, dims: [ 1 ], optional: true, allow_ragged_batch: true }
model_transaction_policy { decoupled: true }
)",
                                           "config.pbtxt");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name, "bert-base");
  EXPECT_EQ(config->max_batch_size, 8);
  EXPECT_TRUE(config->decoupled);
  EXPECT_THAT(config->inputs, testing::ElementsAre(TensorSpec{"ids", "INT64", {-1, 2}, false},
                                                   TensorSpec{"text", "BYTES", {1}, true}));
}

TEST(ModelConfigText, BadInputIsOneLine) {
  const std::pair<std::string, const char*> kCases[] = {
      {"name: \"x", "config.pbtxt:1: a string has no closing quote."},
      {"name: \"x\ny\"", "config.pbtxt:1: a string has no closing quote."},
      {"input [ { name: \"a\" ", "config.pbtxt:1: the file ends where } is missing."},
      {"input [ \n", "config.pbtxt:2: the file ends where ] is missing."},
      {"max_batch_size: many",
       "config.pbtxt:1: max_batch_size: expected a whole number from 0 to 2147483647, found "
       "\"many\"."},
      {"input { name: \"a\" data_type: TYPE_FP31 dims: 1 }",
       "config.pbtxt:1: data_type: \"TYPE_FP31\" is not a data type. Did you mean \"TYPE_FP32\"?"},
      {"input { data_type: TYPE_FP32 }", "config.pbtxt:1: input: a tensor without a name."},
      {"input { name: \"a\" }", "config.pbtxt:1: input: \"a\" has no data_type."},
      {"input { name: \"a\" data_type: TYPE_FP32 dims: -2 }",
       "config.pbtxt:1: dims: expected a whole number from -1 to 2147483647, found \"-2\"."},
      {"input 3", "config.pbtxt:1: after \"input\" stands : or {, found \"3\"."},
      {"}", "config.pbtxt:1: expected the name of a field, found \"}\"."},
      {"[a", "config.pbtxt:1: ] is missing."},
      {"{} x", "config.pbtxt:1: something follows the closing brace."},
  };
  for (const auto& [text, message] : kCases) EXPECT_EQ(Error(text), message) << text;
}

TEST(ModelConfigText, HostileInputIsRefused) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "a {";
  EXPECT_EQ(Error(deep), "config.pbtxt:1: nested more than 32 deep.");
  EXPECT_EQ(Error(std::string(100'000'000, ' ')),
            "config.pbtxt:1: 100000000 bytes; a config.pbtxt has at most 4194304.");
  std::string many = "a: [";
  for (int i = 0; i < 200'000; ++i) many += "1,";
  EXPECT_EQ(Error(many), "config.pbtxt:1: more than 100000 fields.");
}

}  // namespace
}  // namespace broadside::plan
