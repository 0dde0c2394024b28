#include "agent/workload/workload.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "agent/workload/tensor.h"
#include "agent/workload/tensor_json.h"
#include "common/plan/parse.h"

namespace broadside::agent {
namespace {

/// Files, secrets and one model that tests give to the builder.
struct World {
  std::map<std::string, std::string> files;
  std::map<std::string, std::string> secrets;
  plan::ModelConfig model;

  WorkloadInputs Inputs() const {
    WorkloadInputs inputs;
    inputs.read = [this](const std::string& path) -> StatusOr<std::string> {
      const auto found = files.find(path);
      if (found == files.end()) return NotFound(path + ": no such file");
      return found->second;
    };
    inputs.secret = [this](const std::string& name) -> StatusOr<std::string> {
      const auto found = secrets.find(name);
      if (found == secrets.end()) return NotFound("secret \"" + name + "\" is not here");
      return found->second;
    };
    inputs.model = [this](const plan::Target&) -> StatusOr<plan::ModelConfig> { return model; };
    inputs.seed = 7;
    return inputs;
  }
};

plan::Target HttpTarget(const std::string& url) {
  plan::Target target;
  target.name = "t";
  target.url = url;
  target.endpoint = *plan::ParseUrl(url);
  return target;
}

plan::Target KserveTarget() {
  plan::Target target = HttpTarget("http://h:8000");
  target.protocol = plan::Protocol::kKserveHttp;
  target.model = "m";
  target.input = plan::AutoInput{.data = plan::AutoInput::Data::kZero};
  return target;
}

std::string BytesOf(const plan::Target& target, const World& world) {
  const auto workload = BuildWorkload(target, world.Inputs());
  if (!workload.ok()) return "error: " + MessageOf(workload.status());
  return (*workload)->requests[0].bytes;
}

std::string ErrorOf(const plan::Target& target, const World& world) {
  const auto workload = BuildWorkload(target, world.Inputs());
  return workload.ok() ? "no error" : MessageOf(workload.status());
}

TEST(Workload, HttpBytes) {
  World world{.files = {{"body.bin", "abc"}}, .secrets = {{"token", "s3cret\n"}}};
  plan::Target get = HttpTarget("http://h:8080/a?b=c");
  EXPECT_EQ(BytesOf(get, world), "GET /a?b=c HTTP/1.1\r\nHost: h:8080\r\n\r\n");
  get.headers = {{"Authorization", "Bearer ${secret:token}"}, {"HOST", "other"}};
  get.reuse = false;
  EXPECT_EQ(BytesOf(get, world),
            "GET /a?b=c HTTP/1.1\r\nAuthorization: Bearer s3cret\r\nHOST: other\r\n"
            "Connection: close\r\n\r\n");
  plan::Target post = HttpTarget("http://h/");
  post.input = plan::TextInput{"{}"};
  EXPECT_EQ(BytesOf(post, world), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}");
  post.input = plan::PayloadInput{"body.bin"};
  post.method = "PUT";
  EXPECT_EQ(BytesOf(post, world), "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  post.input = plan::NoInput{};
  post.method = "POST";
  EXPECT_EQ(BytesOf(post, world), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
}

TEST(Workload, TheStampGoesBeforeTheBlankLine) {
  const auto workload = BuildWorkload(HttpTarget("http://h/"), World{}.Inputs());
  ASSERT_TRUE(workload.ok());
  std::string bytes = (*workload)->requests[0].bytes;
  bytes.insert((*workload)->requests[0].stamp_at, "broadside-arrival: r/0/1\r\n");
  EXPECT_EQ(bytes, "GET / HTTP/1.1\r\nHost: h\r\nbroadside-arrival: r/0/1\r\n\r\n");
}

TEST(Workload, EndpointsAndConnectTo) {
  plan::Target target = HttpTarget("http://h:1/");
  target.connect_to = "[::1]:99";
  auto workload = BuildWorkload(target, World{}.Inputs());
  ASSERT_TRUE(workload.ok());
  EXPECT_EQ((*workload)->endpoints, (std::vector<Endpoint>{{"::1", 99, false, ""}}));
}

TEST(Workload, HttpErrors) {
  World world{.secrets = {{"two", "a\nb"}}};
  plan::Target target = HttpTarget("http://h/");
  target.headers = {{"Content-Length", "3"}};
  EXPECT_EQ(ErrorOf(target, world),
            "target \"t\": header \"Content-Length\": is set from the body; remove it");
  target.headers = {{"A", "x\r\nB: y"}};
  EXPECT_EQ(ErrorOf(target, world), "target \"t\": header \"A\": must be one line of text");
  target.headers = {{"A B", "x"}};
  EXPECT_EQ(ErrorOf(target, world), "target \"t\": header \"A B\": is not a header name");
  target.headers = {{"A", "${secret:gone}"}};
  EXPECT_EQ(ErrorOf(target, world), "secret \"gone\" is not here");
  target.headers = {{"A", "${secret:two}"}};
  EXPECT_EQ(ErrorOf(target, world),
            "target \"t\": header \"A\": the secret \"two\" has control characters; a header holds "
            "one line of text");
  target.headers = {{"A", "${secret:x"}};
  EXPECT_EQ(ErrorOf(target, world),
            "target \"t\": header \"A\": \"${secret:\" without \"}\"; write ${secret:NAME}");
  EXPECT_EQ(ErrorOf(HttpTarget("https://h/"), world),
            "target \"t\": \"https\" is not in this version yet; use an http:// URL");
  target = HttpTarget("http://h/");
  target.input = plan::PayloadInput{"gone.bin"};
  EXPECT_EQ(ErrorOf(target, world), "gone.bin: no such file");
  target.input = plan::AutoInput{};
  EXPECT_EQ(ErrorOf(target, world),
            "target \"t\": protocol http takes a body as text or {payload: FILE}; tensors need "
            "protocol: kserve-http");
  target = HttpTarget("http://h/");
  target.connect_to = "nowhere";
  EXPECT_EQ(ErrorOf(target, world), "target \"t\": connect_to: \"nowhere\" is not HOST:PORT");
}

TEST(Workload, VegetaFilesGoRoundRobin) {
  World world{.files = {{"targets.txt",
                         "POST http://h:8000/v2/models/m/infer\nContent-Type: application/json\n"
                         "@payload.json\n\nGET http://other:81/x\n"},
                        {"payload.json", "{\"a\":1}"}}};
  plan::Target target;
  target.name = "t";
  target.vegeta = plan::VegetaFile{"targets.txt", "http"};
  target.headers = {{"X-Run", "1"}, {"content-type", "text/plain"}};
  const auto workload = BuildWorkload(target, world.Inputs());
  ASSERT_TRUE(workload.ok()) << workload.status();
  EXPECT_TRUE((*workload)->round_robin);
  ASSERT_EQ((*workload)->requests.size(), 2u);
  EXPECT_EQ((*workload)->requests[0].bytes,
            "POST /v2/models/m/infer HTTP/1.1\r\nHost: h:8000\r\nContent-Type: application/json\r\n"
            "X-Run: 1\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
  EXPECT_EQ((*workload)->requests[1].endpoint, 1u);
  EXPECT_EQ((*workload)->endpoints[1], (Endpoint{"other", 81, false, ""}));
  world.files.erase("payload.json");
  EXPECT_EQ(ErrorOf(target, world), "targets.txt:1: payload.json: no such file");
}

TEST(Workload, KserveJsonBytes) {
  World world;
  world.model = {.max_batch_size = 8,
                 .inputs = {{"A", "FP32", {2}}, {"B", "BOOL", {1}}, {"C", "BYTES", {1}}}};
  plan::Target target = KserveTarget();
  target.input =
      plan::AutoInput{.batch = 2, .data = plan::AutoInput::Data::kZero, .string_length = 3};
  const std::string body =
      R"({"inputs":[{"name":"A","datatype":"FP32","shape":[2,2],"data":[0,0,0,0]},)"
      R"({"name":"B","datatype":"BOOL","shape":[2,1],"data":[false,false]},)"
      R"({"name":"C","datatype":"BYTES","shape":[2,1],"data":["000","000"]}]})";
  EXPECT_EQ(BytesOf(target, world),
            "POST /v2/models/m/infer HTTP/1.1\r\nHost: h:8000\r\nContent-Type: application/json\r\n"
            "Content-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
  const auto workload = BuildWorkload(target, world.Inputs());
  EXPECT_TRUE((*workload)->requests[0].kserve);
  EXPECT_EQ((*workload)->requests[0].inferences, 2u);
}

TEST(Workload, KserveBinaryBytes) {
  World world;
  world.model = {.inputs = {{"A", "INT16", {2}}, {"B", "BYTES", {1}}}};
  plan::Target target = KserveTarget();
  target.model_version = "3";
  target.encoding = plan::Encoding::kBinary;
  target.input = plan::AutoInput{.data = plan::AutoInput::Data::kZero, .string_length = 2};
  const std::string json =
      R"({"inputs":[{"name":"A","datatype":"INT16","shape":[2],"parameters":{"binary_data_size":4}},)"
      R"({"name":"B","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}}],)"
      R"("parameters":{"binary_data_output":true}})";
  using namespace std::string_literals;
  EXPECT_EQ(BytesOf(target, world),
            "POST /v2/models/m/versions/3/infer HTTP/1.1\r\nHost: h:8000\r\n"
            "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: " +
                std::to_string(json.size()) + "\r\nContent-Length: " +
                std::to_string(json.size() + 10) + "\r\n\r\n" + json + "\0\0\0\0\2\0\0\0"s + "00");
}

TEST(Workload, KserveUrlForms) {
  World world;
  world.model = {.inputs = {{"A", "FP32", {1}}}};
  plan::Target target = KserveTarget();
  target.endpoint = *plan::ParseUrl("http://h:8000/base/");
  EXPECT_EQ(BytesOf(target, world).rfind("POST /base/v2/models/m/infer HTTP/1.1\r\n", 0), 0u);
  target.endpoint = *plan::ParseUrl("http://h:8000/v2/models/x/infer");
  target.model = "";
  EXPECT_EQ(BytesOf(target, world).rfind("POST /v2/models/x/infer HTTP/1.1\r\n", 0), 0u);
  target.endpoint = *plan::ParseUrl("http://h:8000");
  EXPECT_EQ(ErrorOf(target, world),
            "target \"t\" has no model; write model: NAME, or a URL that ends in /infer");
  target.model = "a b";
  EXPECT_EQ(BytesOf(target, world).rfind("POST /v2/models/a%20b/infer HTTP/1.1\r\n", 0), 0u);
}

TEST(Workload, RandomPayloadsAreDistinctSeededAndFewWhenLarge) {
  World world;
  world.model = {.inputs = {{"A", "FP32", {16}}}};
  plan::Target target = KserveTarget();
  target.input = plan::AutoInput{};
  const auto first = BuildWorkload(target, world.Inputs());
  const auto again = BuildWorkload(target, world.Inputs());
  ASSERT_TRUE(first.ok() && again.ok());
  std::set<std::string> bodies;
  for (size_t i = 0; i < (*first)->requests.size(); ++i) {
    bodies.insert((*first)->requests[i].bytes);
    EXPECT_EQ((*first)->requests[i].bytes, (*again)->requests[i].bytes);
  }
  EXPECT_EQ(bodies.size(), 8u);
  target.name = "other";
  EXPECT_NE((*first)->requests[0].bytes,
            (*BuildWorkload(target, world.Inputs()))->requests[0].bytes);
  world.model.inputs[0].dims = {3, 224, 224};
  target.encoding = plan::Encoding::kBinary;
  EXPECT_EQ((*BuildWorkload(target, world.Inputs()))->requests.size(), 1u);
}

TEST(Workload, EveryDatatypeInJsonAndBinary) {
  for (const char* name : {"BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32",
                           "UINT64", "FP16", "BF16", "FP32", "FP64", "BYTES"}) {
    World world;
    world.model = {.inputs = {{"A", name, {3}}}};
    plan::Target target = KserveTarget();
    target.input = plan::AutoInput{};
    target.encoding = plan::Encoding::kBinary;
    EXPECT_EQ(ErrorOf(target, world), "no error") << name;
    target.encoding = plan::Encoding::kJson;
    const bool half = std::string(name) == "FP16" || std::string(name) == "BF16";
    EXPECT_EQ(ErrorOf(target, world), half ? "target \"t\": input \"A\" is " + std::string(name) +
                                                 ", which JSON cannot carry; set encoding: binary"
                                           : "no error")
        << name;
  }
}

TEST(Workload, AutoErrors) {
  World world;
  world.model = {.max_batch_size = 4, .inputs = {{"ids", "INT64", {-1}}}};
  plan::Target target = KserveTarget();
  EXPECT_EQ(ErrorOf(target, world),
            "target \"t\": input \"ids\" has dims [-1], and -1 may be any length; say which: "
            "input: {auto: {shapes: {ids: [16]}}}");
  target.input = plan::AutoInput{.shapes = {{"ids", {2, 2}}}};
  EXPECT_EQ(
      ErrorOf(target, world),
      "target \"t\": shapes: ids: [2,2] does not fit the model's dims [-1] (without the batch "
      "dimension)");
  target.input = plan::AutoInput{.shapes = {{"idz", {2}}}};
  EXPECT_EQ(ErrorOf(target, world),
            "target \"t\": shapes: \"idz\" is no input of the model; it has ids");
  target.input = plan::AutoInput{.batch = 5, .shapes = {{"ids", {2}}}};
  EXPECT_EQ(ErrorOf(target, world), "target \"t\": batch: 5 is over the model's max_batch_size 4");
  world.model.max_batch_size = 0;
  EXPECT_EQ(
      ErrorOf(target, world),
      "target \"t\": batch: 5, but the model has no batch dimension (max_batch_size 0); remove "
      "it");
  target.input = plan::AutoInput{.shapes = {{"ids", {int64_t{1} << 40}}}};
  EXPECT_EQ(ErrorOf(target, world),
            "target \"t\": input \"ids\" with shape [1099511627776] is too large");
  world.model.inputs[0].datatype = "COMPLEX";
  EXPECT_EQ(
      ErrorOf(target, world),
      "target \"t\": input \"ids\" has datatype \"COMPLEX\", which is not a KServe v2 datatype");
}

TEST(Workload, ConfigFileStandsInForTheServer) {
  World world{
      .files = {{"config.pbtxt",
                 "name: \"m\"\nmax_batch_size: 8\ninput [ { name: \"A\" data_type: TYPE_FP32 "
                 "dims: [ 2 ] } ]\n"}}};
  plan::Target target = KserveTarget();
  target.input = plan::AutoInput{.data = plan::AutoInput::Data::kZero, .config = "config.pbtxt"};
  WorkloadInputs inputs = world.Inputs();
  inputs.model = nullptr;
  const auto workload = BuildWorkload(target, inputs);
  ASSERT_TRUE(workload.ok()) << workload.status();
  EXPECT_TRUE((*workload)->requests[0].bytes.ends_with(
      R"({"inputs":[{"name":"A","datatype":"FP32","shape":[1,2],"data":[0,0]}]})"));
}

TEST(Workload, DataFileStepsAreRequests) {
  World world{
      .files = {{"d.json", R"({"data":[{"A":[1,2]},{"A":{"content":[[3],[4.5]],"shape":[2]}},)"
                           R"({"A":{"b64":"AACAPwAAAEA="}}]})"}}};
  world.model = {.max_batch_size = 8, .inputs = {{"A", "FP32", {-1}}}};
  plan::Target target = KserveTarget();
  target.input = plan::FileInput{"d.json"};
  const auto workload = BuildWorkload(target, world.Inputs());
  ASSERT_TRUE(workload.ok()) << workload.status();
  ASSERT_EQ((*workload)->requests.size(), 3u);
  const auto ends = [&](size_t i, const std::string& data) {
    return (*workload)->requests[i].bytes.ends_with(
        R"({"inputs":[{"name":"A","datatype":"FP32","shape":[1,2],"data":[)" + data + "]}]}");
  };
  EXPECT_TRUE(ends(0, "1,2"));
  EXPECT_TRUE(ends(1, "3,4.5"));
  EXPECT_TRUE(ends(2, "1,2"));
}

TEST(Workload, DataFileErrors) {
  World world;
  world.model = {.inputs = {{"A", "INT8", {2}}}};
  plan::Target target = KserveTarget();
  target.input = plan::FileInput{"d.json"};
  const std::pair<const char*, const char*> cases[] = {
      {"nonsense", "d.json: is not JSON"},
      {"{}", "d.json: has no \"data\" array; the form is {\"data\":[{\"INPUT\":[…]}]}"},
      {R"({"data":[]})", "d.json: \"data\" is empty"},
      {R"({"data":[3]})", "d.json: step 1: is not an object"},
      {R"({"data":[{"A":[1,2]},{"B":[1]}]})", "d.json: step 2: \"B\" is no input of the model"},
      {R"({"data":[{"A":[1,300]}]})", "d.json: step 1: \"A\": 300 does not fit"},
      {R"({"data":[{"A":[1,"x"]}]})", "d.json: step 1: \"A\": \"x\" is not a number"},
      {R"({"data":[{"A":[1,1.5]}]})", "d.json: step 1: \"A\": 1.500000 is not an integer"},
      {R"({"data":[{"A":{"shape":[2]}}]})",
       "d.json: step 1: \"A\": has neither \"content\" nor \"b64\""},
      {R"({"data":[{"A":{"b64":"%%"}}]})", "d.json: step 1: \"A\": \"b64\" is not base64"},
      {R"({"data":[{}]})", "d.json: step 1 has no \"A\", which the model wants"},
      {R"({"data":[{"A":[1,2,3]}]})",
       "d.json: step 1: input \"A\" has 3 elements, and shape [2] wants 2"},
  };
  for (const auto& [text, want] : cases) {
    world.files["d.json"] = text;
    EXPECT_EQ(ErrorOf(target, world), std::string("target \"t\": ") + want);
  }
}

TEST(Workload, PayloadAndDirectory) {
  using namespace std::string_literals;
  World world{.files = {{"p.json", "{\"inputs\":[]}"}, {"dir/A", "\1\0\2\0"s}, {"dir/B", "hey"}}};
  plan::Target target = KserveTarget();
  target.input = plan::PayloadInput{"p.json"};
  EXPECT_TRUE(BytesOf(target, world).ends_with("Content-Length: 13\r\n\r\n{\"inputs\":[]}"));
  target.encoding = plan::Encoding::kBinary;
  EXPECT_NE(BytesOf(target, world).find("Inference-Header-Content-Length: 0\r\n"),
            std::string::npos);
  target.encoding = plan::Encoding::kJson;
  world.model = {.inputs = {{"A", "INT16", {2}}, {"B", "BYTES", {1}}}};
  target.input = plan::DirectoryInput{"dir", {"dir/A", "dir/B"}};
  EXPECT_TRUE(
      BytesOf(target, world)
          .ends_with(R"({"inputs":[{"name":"A","datatype":"INT16","shape":[2],"data":[1,2]},)"
                     R"({"name":"B","datatype":"BYTES","shape":[1],"data":["hey"]}]})"));
  world.files["dir/A"] = "odd";
  EXPECT_EQ(ErrorOf(target, world),
            "target \"t\": dir/A: 3 bytes are no whole number of INT16 elements");
  target.input = plan::DirectoryInput{"dir", {"dir/B"}};
  EXPECT_EQ(ErrorOf(target, world),
            "target \"t\": dir: has no file \"A\"; the model's inputs are read from files of their "
            "names");
}

TEST(Tensor, HalfAndBrainFloats) {
  const std::pair<double, uint16_t> halves[] = {
      {0.0, 0x0000},     {1.0, 0x3C00},   {-2.0, 0xC000}, {65504.0, 0x7BFF},
      {65520.0, 0x7C00}, {0.5, 0x3800},   {1e-8, 0x0000}, {5.96e-8, 0x0001},
      {6.1e-5, 0x03FF},  {0.333, 0x3554}, {1e30, 0x7C00}, {-1e30, 0xFC00},
  };
  for (const auto& [value, want] : halves) {
    std::string raw;
    ASSERT_TRUE(AppendNumber(DataType::kFp16, value, raw).ok());
    EXPECT_EQ(static_cast<unsigned char>(raw[0]) | (static_cast<unsigned char>(raw[1]) << 8), want)
        << value;
  }
  const std::pair<double, uint16_t> brains[] = {{1.0, 0x3F80}, {-2.0, 0xC000}, {0.333, 0x3EAA}};
  for (const auto& [value, want] : brains) {
    std::string raw;
    ASSERT_TRUE(AppendNumber(DataType::kBf16, value, raw).ok());
    EXPECT_EQ(static_cast<unsigned char>(raw[0]) | (static_cast<unsigned char>(raw[1]) << 8), want)
        << value;
  }
}

TEST(ModelJson, TritonConfigAndMetadata) {
  const auto config = ReadTritonConfig(
      R"({"name":"m","max_batch_size":8,"input":[{"name":"A","data_type":"TYPE_FP32","dims":[3,-1]},)"
      R"({"name":"S","data_type":"TYPE_STRING","dims":["1"],"optional":true}],)"
      R"("output":[{"name":"Y","data_type":"TYPE_INT64","dims":[1]}],)"
      R"("model_transaction_policy":{"decoupled":true}})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->max_batch_size, 8);
  EXPECT_TRUE(config->decoupled);
  EXPECT_EQ(config->inputs[0], (plan::TensorSpec{"A", "FP32", {3, -1}, false}));
  EXPECT_EQ(config->inputs[1], (plan::TensorSpec{"S", "BYTES", {1}, true}));
  const auto metadata =
      ReadModelMetadata(R"({"name":"m","inputs":[{"name":"A","datatype":"FP32","shape":[-1,4]}],)"
                        R"("outputs":[{"name":"Y","datatype":"FP32","shape":[-1,4]}]})");
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  EXPECT_GT(metadata->max_batch_size, 0);
  EXPECT_EQ(metadata->inputs[0].dims, (std::vector<int64_t>{4}));
  const auto fixed =
      ReadModelMetadata(R"({"inputs":[{"name":"A","datatype":"FP32","shape":[1,4]}]})");
  ASSERT_TRUE(fixed.ok());
  EXPECT_EQ(fixed->max_batch_size, 0);
  EXPECT_EQ(fixed->inputs[0].dims, (std::vector<int64_t>{1, 4}));
  for (const char* bad : {"", "[]", "{}", R"({"input":[{"name":3}]})", R"({"input":[4]})",
                          R"({"input":[{"name":"A","data_type":"X","dims":["q"]}]})"}) {
    EXPECT_FALSE(ReadTritonConfig(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace broadside::agent
