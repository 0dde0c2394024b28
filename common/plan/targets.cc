// targets: one entry each.
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/plan/reader.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

constexpr size_t kMaxTargets = 200;
constexpr size_t kMaxHeaders = 100;

const std::vector<std::pair<std::string, Protocol>>& Protocols() {
  static const std::vector<std::pair<std::string, Protocol>> kProtocols = [] {
    std::vector<std::pair<std::string, Protocol>> all;
    for (const Protocol protocol :
         {Protocol::kHttp, Protocol::kKserveHttp, Protocol::kKserveGrpc,
          Protocol::kKserveGrpcStream, Protocol::kOpenaiChat, Protocol::kOpenaiCompletions,
          Protocol::kGenerateStream, Protocol::kGrpc})
      all.emplace_back(ProtocolName(protocol), protocol);
    return all;
  }();
  return kProtocols;
}

bool IsKserve(Protocol protocol) {
  return protocol == Protocol::kKserveHttp || protocol == Protocol::kKserveGrpc ||
         protocol == Protocol::kKserveGrpcStream;
}
bool IsGrpc(Protocol protocol) {
  return protocol == Protocol::kKserveGrpc || protocol == Protocol::kKserveGrpcStream ||
         protocol == Protocol::kGrpc;
}
bool IsOpenai(Protocol protocol) {
  return protocol == Protocol::kOpenaiChat || protocol == Protocol::kOpenaiCompletions;
}

/// A tree as JSON, for body fields that go to the server as they are.
nlohmann::ordered_json ToJson(const yaml::Node& node) {
  switch (node.kind) {
    case yaml::Node::Kind::kNull:
      return nullptr;
    case yaml::Node::Kind::kScalar: {
      if (!node.quoted) {
        auto value = nlohmann::ordered_json::parse(node.text, nullptr, /*allow_exceptions=*/false);
        if (value.is_number() || value.is_boolean()) return value;
      }
      return node.text;
    }
    case yaml::Node::Kind::kList: {
      auto list = nlohmann::ordered_json::array();
      for (const yaml::Node& item : node.items) list.push_back(ToJson(item));
      return list;
    }
    case yaml::Node::Kind::kMap: {
      auto map = nlohmann::ordered_json::object();
      for (const yaml::Node::Entry& entry : node.entries) map[entry.key] = ToJson(entry.value);
      return map;
    }
  }
  return nullptr;
}

/// {name: value} or, where a name comes twice, ["name: value"].
StatusOr<std::vector<Header>> ReadHeaders(const Context& context, const yaml::Node& node,
                                          Protocol protocol) {
  std::vector<Header> out;
  const auto add = [&](const yaml::Mark& mark, std::string name, std::string value) -> Status {
    Status checked = CheckHeader(name, value);
    if (checked.ok() && IsKserve(protocol) &&
        Nearest(name, {"inference-header-content-length"}) == "inference-header-content-length")
      checked = InvalidArgument("header " + Quoted(name) + " is written by " +
                                std::string(ProtocolName(protocol)) +
                                " itself; write encoding: binary under input.");
    out.push_back({std::move(name), std::move(value)});
    return context.At(mark, "headers", checked);
  };
  if (node.kind == yaml::Node::Kind::kMap) {
    for (const yaml::Node::Entry& entry : node.entries) {
      BROADSIDE_ASSIGN_OR_RETURN(std::string value,
                                 ReadString(context, "headers: " + entry.key, entry.value));
      BROADSIDE_RETURN_IF_ERROR(add(entry.mark, entry.key, std::move(value)));
    }
  } else {
    BROADSIDE_ASSIGN_OR_RETURN(const std::vector<std::string> lines,
                               ReadStrings(context, "headers", node));
    for (size_t i = 0; i < lines.size(); ++i) {
      const yaml::Mark& mark = node.items.empty() ? node.mark : node.items[i].mark;
      const size_t colon = lines[i].find(':');
      if (colon == std::string::npos)
        return context.Error(mark, "headers: " + Quoted(lines[i]) + " is not \"name: value\".");
      BROADSIDE_RETURN_IF_ERROR(
          add(mark, lines[i].substr(0, colon),
              std::string(Trim(std::string_view(lines[i]).substr(colon + 1)))));
    }
  }
  if (out.size() > kMaxHeaders)
    return context.Error(node.mark, absl::StrFormat("headers: at most %d.", kMaxHeaders));
  return out;
}

StatusOr<Tls> ReadTls(const Context& context, const yaml::Node& node) {
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                             MapReader::Open(context, "tls", node, kTlsSection));
  Tls tls;
  BROADSIDE_RETURN_IF_ERROR(map.String("ca", tls.ca));
  BROADSIDE_RETURN_IF_ERROR(map.String("cert", tls.cert));
  BROADSIDE_RETURN_IF_ERROR(map.String("key", tls.key));
  BROADSIDE_RETURN_IF_ERROR(map.String("server_name", tls.server_name));
  BROADSIDE_RETURN_IF_ERROR(map.Bool("insecure", tls.insecure));
  if (tls.cert.empty() != tls.key.empty())
    return context.Error(map.mark(), "tls: cert and key belong together.");
  return tls;
}

Status ReadAuto(const Context& context, const yaml::Node& node, AutoInput& out) {
  if (node.kind == yaml::Node::Kind::kScalar) {
    BROADSIDE_ASSIGN_OR_RETURN(const bool wanted, ReadBool(context, "auto", node));
    return wanted ? Status()
                  : context.Error(node.mark, "auto: off leaves no input; write input: none.");
  }
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                             MapReader::Open(context, "auto", node, kAutoSection));
  BROADSIDE_RETURN_IF_ERROR(map.Integer("batch", {1, 65'536}, out.batch));
  BROADSIDE_RETURN_IF_ERROR(map.Integer("string_length", {0, 1 << 20}, out.string_length));
  BROADSIDE_RETURN_IF_ERROR(map.Word<AutoInput::Data>(
      "data", {{"random", AutoInput::Data::kRandom}, {"zero", AutoInput::Data::kZero}}, out.data));
  const yaml::Node* shapes = map.Get("shapes");
  if (shapes == nullptr) return {};
  BROADSIDE_RETURN_IF_ERROR(ExpectMap(context, "shapes", *shapes));
  for (const yaml::Node::Entry& entry : shapes->entries) {
    BROADSIDE_RETURN_IF_ERROR(ExpectList(context, entry.key, entry.value));
    std::vector<int64_t>& dims = out.shapes[entry.key];
    int64_t elements = 1;
    for (const yaml::Node& item : entry.value.items) {
      BROADSIDE_ASSIGN_OR_RETURN(const int64_t dim,
                                 ReadInteger(context, entry.key, item, {1, 1 << 30}));
      dims.push_back(dim);
      if (elements > (int64_t{1} << 30) / dim)
        return context.Error(entry.value.mark, entry.key + ": more than 2^30 elements.");
      elements *= dim;
    }
  }
  return {};
}

Status ReadPrompts(Context& context, const MapReader& map, Input& input) {
  const yaml::Node& node = *map.Get("prompts");
  context.Uses("prompts", map.KeyMark("prompts"));
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader parts,
                             MapReader::Open(context, "prompts", node, kPromptsSection));
  PromptsInput prompts{"", "sharegpt", "shuffle", ""};
  BROADSIDE_RETURN_IF_ERROR(parts.Require("file"));
  BROADSIDE_RETURN_IF_ERROR(parts.String("file", prompts.file));
  for (const auto& [key, out, allowed] :
       {std::tuple("format", &prompts.format,
                   std::vector<std::string>{"sharegpt", "text", "jsonl"}),
        std::tuple("order", &prompts.order, std::vector<std::string>{"shuffle", "file"})}) {
    if (const yaml::Node* value = parts.Get(key)) {
      BROADSIDE_ASSIGN_OR_RETURN(*out, ReadWord(context, key, *value, allowed));
    }
  }
  if (const yaml::Node* body = map.Get("body")) {
    BROADSIDE_RETURN_IF_ERROR(ExpectMap(context, "body", *body));
    prompts.body_json = nlohmann::json(ToJson(*body))
                            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  input = std::move(prompts);
  return {};
}

Status ReadInputMap(Context& context, const yaml::Node& node, Target& target) {
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                             MapReader::Open(context, "input", node, kInputSection));
  std::vector<std::string> kinds;
  for (const std::string_view key : {"auto", "file", "payload", "directory", "prompts"})
    if (map.Has(key)) kinds.emplace_back(key);
  if (kinds.empty() && map.Has("config")) kinds.emplace_back("auto");
  // {encoding: binary} alone is auto in that encoding.
  if (kinds.empty() && map.Has("encoding") && IsKserve(target.protocol)) kinds.emplace_back("auto");
  if (kinds.size() != 1)
    return context.Error(
        map.mark(), "input: write exactly one of auto, file, payload, config, directory, prompts.");
  const std::string& kind = kinds.front();
  if (map.Has("config") && kind != "auto")
    return context.Error(map.KeyMark("config"), "config: goes with auto only.");
  if (map.Has("files") && kind != "directory")
    return context.Error(map.KeyMark("files"), "files: goes with directory only.");
  if (map.Has("body") && kind != "prompts")
    return context.Error(map.KeyMark("body"), "body: goes with prompts only.");
  if (map.Has("encoding") && (kind == "payload" || kind == "prompts"))
    return context.Error(map.KeyMark("encoding"),
                         "encoding: is of tensors, " + kind + " has none.");
  BROADSIDE_RETURN_IF_ERROR(map.Word<Encoding>(
      "encoding", {{"json", Encoding::kJson}, {"binary", Encoding::kBinary}}, target.encoding));
  std::string path;
  if (kind != "auto" && kind != "prompts") {
    BROADSIDE_RETURN_IF_ERROR(map.String(kind, path));
    if (path.empty()) return context.Error(map.KeyMark(kind), kind + ": names no file.");
  }
  if (kind == "auto") {
    AutoInput input;
    if (map.Has("auto")) BROADSIDE_RETURN_IF_ERROR(ReadAuto(context, *map.Get("auto"), input));
    BROADSIDE_RETURN_IF_ERROR(map.String("config", input.config));
    target.input = std::move(input);
  } else if (kind == "file") {
    target.input = FileInput{path};
  } else if (kind == "payload") {
    target.input = PayloadInput{path};
  } else if (kind == "directory") {
    DirectoryInput input{path, {}};
    if (const yaml::Node* files = map.Get("files")) {
      BROADSIDE_ASSIGN_OR_RETURN(input.files, ReadStrings(context, "files", *files));
    }
    target.input = std::move(input);
  } else {
    return ReadPrompts(context, map, target.input);
  }
  return {};
}

Status ReadInput(Context& context, const MapReader& map, Target& target) {
  if (map.Has("body")) {
    if (target.protocol != Protocol::kHttp)
      return context.Error(map.KeyMark("body"),
                           "body: is for protocol http; write input: instead.");
    if (map.Has("input"))
      return context.Error(map.KeyMark("body"), "body: and input: exclude each other.");
    TextInput input;
    BROADSIDE_RETURN_IF_ERROR(map.String("body", input.text));
    target.input = std::move(input);
    return {};
  }
  const yaml::Node* node = map.Get("input");
  if (node == nullptr) {
    if (IsKserve(target.protocol)) target.input = AutoInput{};
    return {};
  }
  if (node->kind == yaml::Node::Kind::kScalar) {
    BROADSIDE_ASSIGN_OR_RETURN(const std::string word,
                               ReadWord(context, "input", *node, {"auto", "none"}));
    if (word == "auto") target.input = AutoInput{};
  } else {
    BROADSIDE_RETURN_IF_ERROR(ReadInputMap(context, *node, target));
  }
  // Which inputs a protocol can send.
  const bool tensors = std::holds_alternative<AutoInput>(target.input) ||
                       std::holds_alternative<FileInput>(target.input) ||
                       std::holds_alternative<DirectoryInput>(target.input);
  const bool prompts = std::holds_alternative<PromptsInput>(target.input);
  const std::string protocol(ProtocolName(target.protocol));
  if (tensors && !IsKserve(target.protocol))
    return context.Error(node->mark, "input: tensors need a model; protocol " + protocol +
                                         " sends {payload: FILE} or none.");
  if (prompts && !IsOpenai(target.protocol) && target.protocol != Protocol::kGenerateStream)
    return context.Error(node->mark,
                         "input: prompts are for openai-chat, openai-completions and "
                         "generate-stream, not for " +
                             protocol + ".");
  if (std::holds_alternative<NoInput>(target.input) && target.protocol != Protocol::kHttp)
    return context.Error(node->mark, "input: none is for protocol http only.");
  return {};
}

Status ReadUrl(Context& context, const MapReader& map, Target& target) {
  BROADSIDE_RETURN_IF_ERROR(map.Require("url"));
  BROADSIDE_RETURN_IF_ERROR(map.String("url", target.url));
  const yaml::Mark& mark = map.Get("url")->mark;
  auto url = ParseUrl(target.url);
  if (!url.ok()) return context.At(mark, "url", url.status());
  const bool grpc_scheme = url->scheme == "grpc" || url->scheme == "grpcs";
  if (grpc_scheme != IsGrpc(target.protocol))
    return context.Error(mark, absl::StrFormat("url: protocol %s needs %s, found %s.",
                                               std::string(ProtocolName(target.protocol)),
                                               IsGrpc(target.protocol) ? "grpc:// or grpcs://"
                                                                       : "http:// or https://",
                                               Quoted(target.url)));
  if (IsKserve(target.protocol) &&
      (url->path.find("/v2/") != std::string::npos || url->path.find('?') != std::string::npos))
    return context.Error(mark,
                         "url: " + Quoted(target.url) +
                             " names a model; for KServe write http://HOST:PORT and model: NAME.");
  if (url->scheme == "https" || url->scheme == "grpcs") context.Uses(url->scheme, mark);
  target.endpoint = *std::move(url);
  return {};
}

Status ReadVegeta(const Context& context, const MapReader& map, Target& target) {
  for (const std::string_view key :
       {"protocol", "url", "method", "model", "model_version", "input", "body"}) {
    if (map.Has(key) && !(key == "protocol" && target.protocol == Protocol::kHttp))
      return context.Error(map.KeyMark(key), std::string(key) +
                                                 ": does not go with targets: "
                                                 "the lines of a Vegeta file say it.");
  }
  VegetaFile vegeta{"", "http"};
  BROADSIDE_RETURN_IF_ERROR(map.String("targets", vegeta.file));
  if (vegeta.file.empty()) return context.Error(map.KeyMark("targets"), "targets: names no file.");
  if (const yaml::Node* format = map.Get("format")) {
    BROADSIDE_ASSIGN_OR_RETURN(vegeta.format,
                               ReadWord(context, "format", *format, {"http", "json"}));
  }
  target.vegeta = std::move(vegeta);
  return {};
}

Status ReadModel(const Context& context, const MapReader& map, Target& target) {
  const bool wants_model = IsKserve(target.protocol) || IsOpenai(target.protocol) ||
                           target.protocol == Protocol::kGenerateStream;
  if (!wants_model) {
    for (const std::string_view key : {"model", "model_version"})
      if (map.Has(key))
        return context.Error(map.KeyMark(key), std::string(key) + ": protocol " +
                                                   std::string(ProtocolName(target.protocol)) +
                                                   " has no models; write protocol: kserve-http.");
    return {};
  }
  BROADSIDE_RETURN_IF_ERROR(map.Require("model"));
  BROADSIDE_RETURN_IF_ERROR(map.String("model", target.model));
  BROADSIDE_RETURN_IF_ERROR(map.String("model_version", target.model_version));
  for (const auto& [key, value] :
       {std::pair<std::string_view, const std::string&>("model", target.model),
        {"model_version", target.model_version}}) {
    for (const char c : value)
      if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '?' || c == '#' || c == '%')
        return context.Error(
            map.Get(key)->mark,
            absl::StrFormat("%s: %s holds %s, which a URL cannot.", std::string(key), Quoted(value),
                            Quoted(std::string_view(&c, 1))));
  }
  if (target.model.empty()) return context.Error(map.KeyMark("model"), "model: is empty.");
  return {};
}

Status ReadMethod(const Context& context, const MapReader& map, Target& target) {
  const bool body = !std::holds_alternative<NoInput>(target.input);
  target.method = body || target.protocol != Protocol::kHttp ? "POST" : "GET";
  if (target.vegeta) target.method.clear();
  if (!map.Has("method")) return {};
  BROADSIDE_RETURN_IF_ERROR(map.String("method", target.method));
  const bool token = IsToken(target.method) &&
                     target.method.find_first_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos;
  if (!token || target.method.size() > 32 || target.method == "CONNECT")
    return context.Error(map.Get("method")->mark,
                         "method: " + Quoted(target.method) +
                             " is not allowed. Write GET, POST, PUT, DELETE, … in capitals.");
  if (target.protocol != Protocol::kHttp && target.method != "POST")
    return context.Error(
        map.Get("method")->mark,
        "method: protocol " + std::string(ProtocolName(target.protocol)) + " always sends POST.");
  return {};
}

StatusOr<Target> ReadTarget(Context& context, const std::string& name, const yaml::Mark& mark,
                            const yaml::Node& node) {
  Target target;
  target.name = name;
  target.where = context.WhereOf(mark);
  BROADSIDE_RETURN_IF_ERROR(context.At(mark, "targets", CheckName(name)));
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                             MapReader::Open(context, name, node, kTargetSection));
  BROADSIDE_RETURN_IF_ERROR(map.Word<Protocol>("protocol", Protocols(), target.protocol));
  if (target.protocol != Protocol::kHttp && target.protocol != Protocol::kKserveHttp)
    context.Uses(std::string(ProtocolName(target.protocol)), map.Get("protocol")->mark);
  if (map.Has("targets")) {
    BROADSIDE_RETURN_IF_ERROR(ReadVegeta(context, map, target));
  } else {
    if (map.Has("format"))
      return context.Error(map.KeyMark("format"), "format: goes with targets: FILE only.");
    BROADSIDE_RETURN_IF_ERROR(ReadUrl(context, map, target));
    BROADSIDE_RETURN_IF_ERROR(ReadModel(context, map, target));
    BROADSIDE_RETURN_IF_ERROR(ReadInput(context, map, target));
  }
  BROADSIDE_RETURN_IF_ERROR(ReadMethod(context, map, target));
  if (const yaml::Node* headers = map.Get("headers")) {
    BROADSIDE_ASSIGN_OR_RETURN(target.headers, ReadHeaders(context, *headers, target.protocol));
  }
  if (const yaml::Node* tls = map.Get("tls")) {
    context.Uses("tls", map.KeyMark("tls"));
    BROADSIDE_ASSIGN_OR_RETURN(target.tls, ReadTls(context, *tls));
  }
  BROADSIDE_RETURN_IF_ERROR(map.Integer("weight", {1, 1'000'000}, target.weight));
  if (const yaml::Node* good = map.Get("good")) {
    context.Uses("good", map.KeyMark("good"));
    BROADSIDE_ASSIGN_OR_RETURN(const MapReader parts,
                               MapReader::Open(context, "good", *good, kGoodSection));
    constexpr Nanos kLeast{1};
    const Nanos most = std::chrono::hours(1);
    BROADSIDE_RETURN_IF_ERROR(parts.Duration("latency", kLeast, most, target.good.latency));
    BROADSIDE_RETURN_IF_ERROR(parts.Duration("ttft", kLeast, most, target.good.ttft));
    BROADSIDE_RETURN_IF_ERROR(parts.Duration("tpot", kLeast, most, target.good.tpot));
  }
  if (const yaml::Node* breaker = map.Get("breaker")) {
    BROADSIDE_ASSIGN_OR_RETURN(target.breaker, ReadBreaker(context, *breaker));
    if (target.breaker) context.Uses("breaker", map.KeyMark("breaker"));
  }
  BROADSIDE_RETURN_IF_ERROR(map.Bool("reuse", target.reuse));
  BROADSIDE_RETURN_IF_ERROR(map.String("connect_to", target.connect_to));
  if (map.Has("connect_to"))
    BROADSIDE_RETURN_IF_ERROR(
        context.At(map.Get("connect_to")->mark, "connect_to", CheckHostPort(target.connect_to)));
  return target;
}

}  // namespace

StatusOr<std::vector<Target>> ReadTargets(Context& context, const yaml::Node& node) {
  std::vector<Target> out;
  std::set<std::string> names;
  if (node.kind == yaml::Node::Kind::kList) {
    for (const yaml::Node& item : node.items) {
      BROADSIDE_RETURN_IF_ERROR(ExpectMap(context, "targets", item));
      const yaml::Node::Entry* name = item.Find("name");
      if (name == nullptr) return context.Error(item.mark, "name: is missing here.");
      BROADSIDE_ASSIGN_OR_RETURN(const std::string text, ReadString(context, "name", name->value));
      if (!names.insert(text).second)
        return context.Error(name->value.mark, "name: a second target " + Quoted(text) + ".");
      BROADSIDE_ASSIGN_OR_RETURN(out.emplace_back(),
                                 ReadTarget(context, text, name->value.mark, item));
    }
  } else {
    BROADSIDE_RETURN_IF_ERROR(ExpectMap(context, "targets", node));
    for (const yaml::Node::Entry& entry : node.entries) {
      if (const yaml::Node::Entry* name = entry.value.Find("name"))
        return context.Error(name->mark, "name: the key " + Quoted(entry.key) + " is the name.");
      BROADSIDE_ASSIGN_OR_RETURN(out.emplace_back(),
                                 ReadTarget(context, entry.key, entry.mark, entry.value));
    }
  }
  if (out.empty() || out.size() > kMaxTargets)
    return context.Error(node.mark, absl::StrFormat("targets: %d targets; allowed are 1 … %d.",
                                                    out.size(), kMaxTargets));
  return out;
}

}  // namespace broadside::plan
