// ctl run without a file.
#include <string>
#include <vector>

#include "common/plan/parse.h"
#include "common/plan/reader.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

using yaml::Mark;
using yaml::Node;

/// Builds the tree that a plan file would have, each value placed at its flag.
class Builder {
 public:
  explicit Builder(Context& context) : context_(context) {}

  Mark Flag(const std::string& flag) {
    context_.sources.push_back(flag);
    return Mark{static_cast<int>(context_.sources.size()) - 1, 1, 1};
  }
  static Node Text(const Mark& mark, const std::string& text) {
    Node node;
    node.kind = text.empty() ? Node::Kind::kNull : Node::Kind::kScalar;
    node.mark = mark;
    node.text = text;
    return node;
  }
  static Node Empty(Node::Kind kind) {
    Node node;
    node.kind = kind;
    node.mark = Mark{};
    return node;
  }
  static void Put(Node& map, const std::string& key, const Mark& mark, Node value) {
    map.entries.push_back({key, mark, std::move(value)});
  }
  void PutFlag(Node& map, const std::string& key, const std::string& flag,
               const std::string& text) {
    if (text.empty()) return;
    const Mark mark = Flag(flag);
    Put(map, key, mark, Text(mark, text));
  }

 private:
  Context& context_;
};

/// "http://h/v2/models/m/versions/2/infer" → model m, version 2.
struct KserveUrl {
  std::string base, model, version;
};
std::optional<KserveUrl> AsKserve(const std::string& url) {
  constexpr std::string_view kModels = "/v2/models/";
  constexpr std::string_view kInfer = "/infer";
  const size_t at = url.find(kModels);
  if (at == std::string::npos || !url.ends_with(kInfer)) return {};
  const size_t start = at + kModels.size();
  if (url.size() < start + kInfer.size() + 1) return {};
  KserveUrl out;
  out.base = url.substr(0, at);
  out.model = url.substr(start, url.size() - start - kInfer.size());
  constexpr std::string_view kVersions = "/versions/";
  if (const size_t version = out.model.find(kVersions); version != std::string::npos) {
    out.version = out.model.substr(version + kVersions.size());
    out.model.resize(version);
  }
  if (out.model.empty() || out.model.find('/') != std::string::npos) return {};
  return out;
}

}  // namespace

StatusOr<Plan> PlanFromFlags(const OneLiner& flags, const ParseOptions& options) {
  if (flags.target.empty() && flags.targets_file.empty())
    return InvalidArgument("nothing to test. Write a plan file, --target URL or --targets FILE.");
  if (flags.rate.empty()) return InvalidArgument("--rate is missing. Write --rate 100/s.");
  if (flags.duration.empty())
    return InvalidArgument("--duration is missing. Write --duration 60s.");
  if (flags.target.empty() && (!flags.method.empty() || !flags.body_file.empty()))
    return InvalidArgument("--method and --body go with --target; a target file has its own.");
  Context context(options);
  context.sources[0] = "command line";
  Builder builder(context);

  Node headers = Builder::Empty(Node::Kind::kList);
  for (const std::string& header : flags.headers)
    headers.items.push_back(Builder::Text(builder.Flag("--header " + Quoted(header)), header));

  Node targets = Builder::Empty(Node::Kind::kMap);
  if (!flags.target.empty()) {
    Node target = Builder::Empty(Node::Kind::kMap);
    const Mark mark = builder.Flag("--target " + Quoted(flags.target));
    const auto kserve = AsKserve(flags.target);
    if (kserve && flags.body_file.empty() && flags.method.empty()) {
      Builder::Put(target, "protocol", mark, Builder::Text(mark, "kserve-http"));
      Builder::Put(target, "url", mark, Builder::Text(mark, kserve->base));
      Builder::Put(target, "model", mark, Builder::Text(mark, kserve->model));
      if (!kserve->version.empty())
        Builder::Put(target, "model_version", mark, Builder::Text(mark, kserve->version));
    } else {
      Builder::Put(target, "url", mark, Builder::Text(mark, flags.target));
      builder.PutFlag(target, "method", "--method", flags.method);
      if (!flags.body_file.empty()) {
        const Mark body = builder.Flag("--body");
        Node input = Builder::Empty(Node::Kind::kMap);
        Builder::Put(input, "payload", body, Builder::Text(body, flags.body_file));
        Builder::Put(target, "input", body, std::move(input));
      }
    }
    if (!headers.items.empty()) Builder::Put(target, "headers", mark, headers);
    Builder::Put(targets, "target", mark, std::move(target));
  }
  if (!flags.targets_file.empty()) {
    Node target = Builder::Empty(Node::Kind::kMap);
    const Mark mark = builder.Flag("--targets " + Quoted(flags.targets_file));
    const bool json = flags.targets_file.ends_with(".json") ||
                      flags.targets_file.ends_with(".jsonl") ||
                      flags.targets_file.ends_with(".ndjson");
    Builder::Put(target, "targets", mark, Builder::Text(mark, flags.targets_file));
    Builder::Put(target, "format", mark, Builder::Text(mark, json ? "json" : "http"));
    if (!headers.items.empty()) Builder::Put(target, "headers", mark, headers);
    Builder::Put(targets, "targets", mark, std::move(target));
  }

  Node phase = Builder::Empty(Node::Kind::kMap);
  Builder::Put(phase, "phase", Mark{}, Builder::Text(Mark{}, "load"));
  builder.PutFlag(phase, "rate", "--rate", flags.rate);
  builder.PutFlag(phase, "duration", "--duration", flags.duration);
  Node load = Builder::Empty(Node::Kind::kList);
  load.items.push_back(std::move(phase));
  Node root = Builder::Empty(Node::Kind::kMap);
  Builder::Put(root, "name", Mark{}, Builder::Text(Mark{}, "one-liner"));
  Builder::Put(root, "targets", Mark{}, std::move(targets));
  Builder::Put(root, "load", Mark{}, std::move(load));
  return PlanFromTree(context, std::move(root));
}

}  // namespace broadside::plan
