// What happens to the tree before it is read: --set, ${…}, defaults.
#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/plan/reader.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

using yaml::Mark;
using yaml::Node;

/// "load.a.rate", "slo[0]" → {"load", "a", "rate"}, {"slo", "0"}.
std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> parts;
  std::string part;
  const auto flush = [&] {
    if (!part.empty()) parts.push_back(std::move(part));
    part.clear();
  };
  for (const char c : path) {
    if (c == '.' || c == '[' || c == ']') {
      flush();
    } else {
      part += c;
    }
  }
  flush();
  return parts;
}

/// Names of a list's items: of phases, targets, or their positions.
std::string ItemName(const Node& item) {
  for (const std::string_view key : {"phase", "name"})
    if (const Node::Entry* entry = item.Find(key)) return entry->value.text;
  return {};
}

/// One "--set" text at work.
class Override {
 public:
  Override(Context& context, const Mark& mark, std::vector<std::string> path, Node value)
      : context_(context), mark_(mark), path_(std::move(path)), value_(std::move(value)) {}

  Status Apply(Node& root) {
    Node* node = &root;
    size_t at = 0;
    while (at < path_.size()) {
      StatusOr<Node*> next = Descend(*node, at);
      if (!next.ok()) return next.status();
      node = *next;
    }
    *node = value_;
    return {};
  }

 private:
  StatusOr<Node*> Descend(Node& node, size_t& at) {
    if (node.kind == Node::Kind::kNull) {
      node.kind = Node::Kind::kMap;
      node.mark = mark_;
    }
    if (node.kind == Node::Kind::kMap) return DescendMap(node, at);
    if (node.kind == Node::Kind::kList) return DescendList(node, at);
    return context_.Error(mark_, Quoted(Joined(0, at)) + " is " + Describe(node) +
                                     ", which has no " + Quoted(path_[at]) + ".");
  }

  StatusOr<Node*> DescendMap(Node& node, size_t& at) {
    // A key may hold dots itself ("trip.time"): the longest one that is there wins.
    for (size_t end = path_.size(); end > at; --end) {
      if (Node::Entry* entry = node.Find(Joined(at, end))) {
        at = end;
        entry->mark = at == path_.size() ? mark_ : entry->mark;
        return &entry->value;
      }
    }
    node.entries.push_back({path_[at], mark_, Node{}});
    node.entries.back().value.mark = mark_;
    ++at;
    return &node.entries.back().value;
  }

  StatusOr<Node*> DescendList(Node& node, size_t& at) {
    const std::string& part = path_[at];
    std::vector<std::string> names;
    for (Node& item : node.items) {
      const std::string name = ItemName(item);
      if (name.empty()) continue;
      if (name == part) {
        ++at;
        return &item;
      }
      names.push_back(name);
    }
    size_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    if (error == std::errc() && end == part.data() + part.size() && index < node.items.size()) {
      ++at;
      return &node.items[index];
    }
    const std::string known = names.empty() ? "" : " Known here are " + JoinOr(names) + ".";
    return context_.Error(mark_, absl::StrFormat("%s has no %s.%s", Joined(0, at), Quoted(part),
                                                 DidYouMean(part, names, known)));
  }

  std::string Joined(size_t from, size_t to) const {
    std::string out;
    for (size_t i = from; i < to; ++i) out += (i == from ? "" : ".") + path_[i];
    return out;
  }

  Context& context_;
  Mark mark_;
  std::vector<std::string> path_;
  Node value_;
};

StatusOr<Node> OverrideValue(const std::string& text, int source, const std::string& name) {
  const std::string_view value = Trim(text);
  if (value.starts_with("[") || value.starts_with("{") || value.starts_with("\"") ||
      value.starts_with("'"))
    return yaml::Parse(value, source, name);
  // Anything else is taken as it is, so that nothing needs YAML's quotes inside the shell's.
  Node node;
  node.kind = value.empty() ? Node::Kind::kNull : Node::Kind::kScalar;
  node.mark = Mark{source, 1, 1};
  node.text = std::string(value);
  if (!yaml::IsText(value)) return InvalidArgument(name + ": is not UTF-8 text.");
  return node;
}

/// Replaces every ${kind:name} of one text.
class Interpolator {
 public:
  explicit Interpolator(Context& context) : context_(context) {}

  Status Walk(Node& node, bool in_headers, bool in_body) {
    if (node.kind == Node::Kind::kScalar) return Expand(node, in_headers, in_body);
    for (Node& item : node.items) BROADSIDE_RETURN_IF_ERROR(Walk(item, in_headers, in_body));
    for (Node::Entry& entry : node.entries)
      BROADSIDE_RETURN_IF_ERROR(Walk(entry.value, in_headers, in_body));
    return {};
  }
  /// A target, or the defaults of all: headers and body have rules of their own.
  Status WalkTarget(Node& node) {
    if (node.kind != Node::Kind::kMap) return Walk(node, false, false);
    for (Node::Entry& entry : node.entries)
      BROADSIDE_RETURN_IF_ERROR(
          Walk(entry.value, entry.key == "headers", entry.key == "body" || entry.key == "input"));
    return {};
  }

 private:
  Status Expand(Node& node, bool in_headers, bool in_body) {
    std::string out;
    std::string_view rest = node.text;
    for (;;) {
      const size_t start = rest.find("${");
      if (start == std::string_view::npos) break;
      const size_t end = rest.find('}', start);
      const size_t colon = rest.find(':', start);
      if (end == std::string_view::npos || colon == std::string_view::npos || colon > end) {
        out += rest.substr(0, start + 2);
        rest.remove_prefix(start + 2);
        continue;
      }
      const std::string kind(rest.substr(start + 2, colon - start - 2));
      const std::string name(rest.substr(colon + 1, end - colon - 1));
      const std::string whole(rest.substr(start, end - start + 1));
      BROADSIDE_ASSIGN_OR_RETURN(const std::string value,
                                 ValueOf(node, kind, name, whole, in_headers, in_body));
      out += std::string(rest.substr(0, start)) + value;
      rest.remove_prefix(end + 1);
    }
    node.text = out + std::string(rest);
    return {};
  }

  StatusOr<std::string> ValueOf(const Node& node, const std::string& kind, const std::string& name,
                                const std::string& whole, bool in_headers, bool in_body) {
    const auto error = [&](const std::string& why) {
      return context_.Error(node.mark, whole + why);
    };
    if (kind == "secret") {
      if (!in_headers) return error(": a secret may stand in headers only.");
      const bool plain = !name.empty() && name[0] != '.' &&
                         std::all_of(name.begin(), name.end(), [](unsigned char c) {
                           return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
                         });
      if (!plain) return error(": the name of a secret is letters, digits, _ - and . only.");
      return whole;
    }
    if (kind != "env" && kind != "file") {
      if (in_body) return whole;
      return error(" is unknown; known are ${secret:NAME}, ${env:NAME} and ${file:PATH}.");
    }
    if (in_headers && !context_.options.send_secrets)
      return error(
          " in headers would put its value into the plan and the store; write "
          "${secret:NAME}, or allow it by --send-secrets.");
    std::string value;
    if (kind == "env") {
      if (!context_.options.environment) return error(" is resolved by ctl only.");
      if (!context_.options.environment(name, value)) return error(": the variable is not set.");
    } else {
      if (!context_.options.read_file) return error(" is resolved by ctl only.");
      auto content = context_.options.read_file(name);
      if (!content.ok()) return error(": " + MessageOf(content.status()) + ".");
      value = *std::move(content);
      if (value.ends_with("\n")) value.pop_back();
      if (value.ends_with("\r")) value.pop_back();
    }
    if (value.find("${") != std::string::npos)
      return error(": its value holds ${, which is not expanded a second time.");
    // Whatever is not text would be refused when the controller reads the plan again.
    if (!yaml::IsText(value)) return error(": its value is not UTF-8 text.");
    return value;
  }

  Context& context_;
};

/// Keys of `defaults` that a target which names a Vegeta file has no use for.
bool NotForVegeta(std::string_view key) {
  for (const std::string_view known :
       {"protocol", "url", "method", "model", "model_version", "input", "body"})
    if (key == known) return true;
  return false;
}

void MergeUnder(const Node& defaults, Node& target) {
  if (target.kind == Node::Kind::kNull) {
    target.kind = Node::Kind::kMap;
  }
  if (target.kind != Node::Kind::kMap) return;
  const bool vegeta = target.Find("targets") != nullptr;
  const bool own_body = target.Find("body") != nullptr || target.Find("input") != nullptr;
  for (const Node::Entry& entry : defaults.entries) {
    if (vegeta && NotForVegeta(entry.key)) continue;
    if (own_body && (entry.key == "body" || entry.key == "input")) continue;
    Node::Entry* own = target.Find(entry.key);
    if (own == nullptr) {
      target.entries.push_back(entry);
    } else if ((entry.key == "headers" || entry.key == "tls" || entry.key == "good") &&
               entry.value.kind == Node::Kind::kMap && own->value.kind == Node::Kind::kMap) {
      for (const Node::Entry& part : entry.value.entries)
        if (own->value.Find(part.key) == nullptr) own->value.entries.push_back(part);
    }
  }
}

}  // namespace

Status ApplyOverrides(Context& context, Node& root) {
  for (const std::string& text : context.options.overrides) {
    const int source = static_cast<int>(context.sources.size());
    const std::string name = "--set " + text.substr(0, text.find('\n'));
    context.sources.push_back(name);
    const Mark mark{source, 1, 1};
    const size_t equals = text.find('=');
    std::vector<std::string> path = SplitPath(Trim(std::string_view(text).substr(0, equals)));
    if (equals == std::string::npos || path.empty())
      return context.Error(mark, "is not KEY=VALUE. Write --set load.PHASE.rate=2000/s.");
    if (path.size() > 16) return context.Error(mark, "the key has more than 16 parts.");
    BROADSIDE_ASSIGN_OR_RETURN(Node value, OverrideValue(text.substr(equals + 1), source, name));
    BROADSIDE_RETURN_IF_ERROR(
        Override(context, mark, std::move(path), std::move(value)).Apply(root));
  }
  return {};
}

Status MergeDefaults(Context& context, Node& root) {
  Node::Entry* defaults = root.Find("defaults");
  if (defaults == nullptr) return {};
  const Node from = defaults->value;
  // Opened for its check of the keys; a bad value is reported where the target is read.
  const auto checked = MapReader::Open(context, "defaults", from, kTargetSection);
  if (!checked.ok()) return checked.status();
  for (const std::string_view key : {"name", "targets", "format"})
    if (const Node::Entry* entry = from.Find(key))
      return context.Error(entry->mark, std::string(key) + ": is not for defaults.");
  if (Node::Entry* targets = root.Find("targets")) {
    for (Node::Entry& entry : targets->value.entries) MergeUnder(from, entry.value);
    for (Node& item : targets->value.items) MergeUnder(from, item);
  }
  std::erase_if(root.entries, [](const Node::Entry& entry) { return entry.key == "defaults"; });
  return {};
}

Status Interpolate(Context& context, Node& root) {
  Interpolator interpolator(context);
  for (Node::Entry& entry : root.entries) {
    if (entry.key == "defaults") {
      BROADSIDE_RETURN_IF_ERROR(interpolator.WalkTarget(entry.value));
    } else if (entry.key == "targets") {
      for (Node::Entry& target : entry.value.entries)
        BROADSIDE_RETURN_IF_ERROR(interpolator.WalkTarget(target.value));
      for (Node& target : entry.value.items)
        BROADSIDE_RETURN_IF_ERROR(interpolator.WalkTarget(target));
    } else {
      BROADSIDE_RETURN_IF_ERROR(interpolator.Walk(entry.value, false, false));
    }
  }
  return {};
}

}  // namespace broadside::plan
