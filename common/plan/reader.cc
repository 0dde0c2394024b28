#include "common/plan/reader.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "common/plan/values.h"

namespace broadside::plan {

Context::Context(const ParseOptions& parse_options)
    : options(parse_options), sources{parse_options.file_name} {}

Status Context::Error(const yaml::Mark& mark, const std::string& message) const {
  const std::string& name = sources[static_cast<size_t>(mark.source)];
  if (mark.source != 0 || mark.line == 0) return InvalidArgument(name + ": " + message);
  return InvalidArgument(absl::StrFormat("%s:%d:%d: %s", name, mark.line, mark.column, message));
}

Status Context::Error(const Where& where, const std::string& message) const {
  return Error(yaml::Mark{0, where.line, where.column}, message);
}

Status Context::At(const yaml::Mark& mark, std::string_view key, const Status& status) const {
  if (status.ok()) return status;
  const std::string prefix = key.empty() ? std::string() : std::string(key) + ": ";
  return Error(mark, prefix + MessageOf(status));
}

Where Context::WhereOf(const yaml::Mark& mark) const {
  return mark.source == 0 ? Where{mark.line, mark.column} : Where{};
}

std::string Describe(const yaml::Node& node) {
  switch (node.kind) {
    case yaml::Node::Kind::kNull:
      return "nothing";
    case yaml::Node::Kind::kScalar:
      return Quoted(node.text);
    case yaml::Node::Kind::kList:
      return "a list";
    case yaml::Node::Kind::kMap:
      return "a map";
  }
  return "nothing";
}

namespace {

Status Expected(const Context& context, std::string_view key, const yaml::Node& node,
                const std::string& wanted) {
  return context.Error(node.mark, absl::StrFormat("%s: expected %s, found %s.", std::string(key),
                                                  wanted, Describe(node)));
}

std::vector<std::string> KeyNames(const Section& section) {
  std::vector<std::string> names;
  for (const Key& key : section.keys) names.emplace_back(key.name);
  return names;
}

}  // namespace

StatusOr<std::string> ReadString(const Context& context, std::string_view key,
                                 const yaml::Node& node) {
  if (node.kind != yaml::Node::Kind::kScalar) return Expected(context, key, node, "text");
  if (node.text.find('\0') != std::string::npos)
    return context.Error(node.mark, std::string(key) + ": the text holds a NUL character.");
  return node.text;
}

StatusOr<bool> ReadBool(const Context& context, std::string_view key, const yaml::Node& node) {
  if (node.kind == yaml::Node::Kind::kScalar) {
    std::string word = node.text;
    std::transform(word.begin(), word.end(), word.begin(),
                   [](unsigned char c) { return c < 0x80 ? std::tolower(c) : c; });
    if (word == "true" || word == "on" || word == "yes") return true;
    if (word == "false" || word == "off" || word == "no") return false;
  }
  return Expected(context, key, node, "true or false");
}

StatusOr<int64_t> ReadInteger(const Context& context, std::string_view key, const yaml::Node& node,
                              Range range) {
  std::string_view rest = node.text;
  const bool negative = rest.starts_with("-");
  if (negative) rest.remove_prefix(1);
  const auto number =
      node.kind == yaml::Node::Kind::kScalar ? TakeDecimal(rest) : std::optional<Decimal>();
  if (!number || !rest.empty() || number->decimals != 0)
    return Expected(context, key, node, "a whole number");
  const int64_t value = negative ? -number->digits : number->digits;
  if (value < range.least || value > range.most)
    return context.Error(
        node.mark, absl::StrFormat("%s: %d is out of range; allowed are %d … %d.", std::string(key),
                                   value, range.least, range.most));
  return value;
}

StatusOr<Nanos> ReadDuration(const Context& context, std::string_view key, const yaml::Node& node,
                             Nanos least, Nanos most) {
  if (node.kind != yaml::Node::Kind::kScalar)
    return Expected(context, key, node, "a duration (250ms, 1.5s, 1h30m)");
  const auto value = ParseDuration(node.text);
  if (!value.ok()) return context.At(node.mark, key, value.status());
  if (*value < least || *value > most)
    return context.Error(
        node.mark, absl::StrFormat("%s: %s is out of range; allowed are %s … %s.", std::string(key),
                                   node.text, DurationText(least), DurationText(most)));
  return *value;
}

StatusOr<MicroRate> ReadRate(const Context& context, std::string_view key, const yaml::Node& node) {
  if (node.kind != yaml::Node::Kind::kScalar)
    return Expected(context, key, node, "a rate (100/s, 6000/min)");
  const auto value = ParseRate(node.text);
  if (!value.ok()) return context.At(node.mark, key, value.status());
  return *value;
}

StatusOr<Ppm> ReadPercent(const Context& context, std::string_view key, const yaml::Node& node,
                          Ppm most) {
  if (node.kind != yaml::Node::Kind::kScalar)
    return Expected(context, key, node, "a percentage (25%)");
  const auto value = ParsePercent(node.text);
  if (!value.ok()) return context.At(node.mark, key, value.status());
  if (*value > most)
    return context.Error(node.mark, absl::StrFormat("%s: %s is more than %s.", std::string(key),
                                                    node.text, PercentText(most)));
  return *value;
}

StatusOr<std::string> ReadWord(const Context& context, std::string_view key, const yaml::Node& node,
                               const std::vector<std::string>& allowed) {
  if (node.kind != yaml::Node::Kind::kScalar) return Expected(context, key, node, JoinOr(allowed));
  if (std::find(allowed.begin(), allowed.end(), node.text) != allowed.end()) return node.text;
  return context.Error(
      node.mark,
      absl::StrFormat("%s: %s is unknown; allowed are %s.%s", std::string(key), Quoted(node.text),
                      JoinOr(allowed), DidYouMean(node.text, allowed, "")));
}

StatusOr<std::vector<std::string>> ReadStrings(const Context& context, std::string_view key,
                                               const yaml::Node& node) {
  std::vector<std::string> out;
  if (node.kind == yaml::Node::Kind::kScalar) {
    BROADSIDE_ASSIGN_OR_RETURN(out.emplace_back(), ReadString(context, key, node));
    return out;
  }
  BROADSIDE_RETURN_IF_ERROR(ExpectList(context, key, node));
  for (const yaml::Node& item : node.items) {
    BROADSIDE_ASSIGN_OR_RETURN(std::string text, ReadString(context, key, item));
    out.push_back(std::move(text));
  }
  return out;
}

Status ExpectMap(const Context& context, std::string_view key, const yaml::Node& node) {
  return node.kind == yaml::Node::Kind::kMap ? Status() : Expected(context, key, node, "a map");
}

Status ExpectList(const Context& context, std::string_view key, const yaml::Node& node) {
  return node.kind == yaml::Node::Kind::kList ? Status() : Expected(context, key, node, "a list");
}

StatusOr<MapReader> MapReader::Open(const Context& context, std::string_view key,
                                    const yaml::Node& node, const Section& section) {
  if (node.kind != yaml::Node::Kind::kMap)
    return Expected(context, key, node, "a map with " + JoinOr(KeyNames(section)));
  for (const yaml::Node::Entry& entry : node.entries) {
    const auto known =
        std::any_of(section.keys.begin(), section.keys.end(),
                    [&](const Key& candidate) { return candidate.name == entry.key; });
    if (!known) {
      const std::vector<std::string> names = KeyNames(section);
      return context.Error(
          entry.mark, "unknown key " + Quoted(entry.key) + "." +
                          DidYouMean(entry.key, names, " Known here are " + JoinOr(names) + "."));
    }
    if (entry.value.kind == yaml::Node::Kind::kNull)
      return context.Error(entry.mark, entry.key + ": has no value.");
  }
  return MapReader(context, node, section);
}

const yaml::Node* MapReader::Get(std::string_view key) const {
  BROADSIDE_CHECK(std::any_of(section_->keys.begin(), section_->keys.end(),
                              [&](const Key& known) { return known.name == key; }));
  const yaml::Node::Entry* entry = node_->Find(key);
  return entry == nullptr ? nullptr : &entry->value;
}

const yaml::Mark& MapReader::KeyMark(std::string_view key) const {
  const yaml::Node::Entry* entry = node_->Find(key);
  return entry == nullptr ? node_->mark : entry->mark;
}

Status MapReader::Require(std::string_view key) const {
  if (Has(key)) return {};
  return context_->Error(node_->mark, std::string(key) + ": is missing here.");
}

Status MapReader::String(std::string_view key, std::string& out) const {
  if (const yaml::Node* node = Get(key)) {
    BROADSIDE_ASSIGN_OR_RETURN(out, ReadString(*context_, key, *node));
  }
  return {};
}

Status MapReader::Bool(std::string_view key, bool& out) const {
  if (const yaml::Node* node = Get(key)) {
    BROADSIDE_ASSIGN_OR_RETURN(out, ReadBool(*context_, key, *node));
  }
  return {};
}

Status MapReader::Duration(std::string_view key, Nanos least, Nanos most, Nanos& out) const {
  if (const yaml::Node* node = Get(key)) {
    BROADSIDE_ASSIGN_OR_RETURN(out, ReadDuration(*context_, key, *node, least, most));
  }
  return {};
}

Status MapReader::Duration(std::string_view key, Nanos least, Nanos most,
                           std::optional<Nanos>& out) const {
  if (const yaml::Node* node = Get(key)) {
    BROADSIDE_ASSIGN_OR_RETURN(out, ReadDuration(*context_, key, *node, least, most));
  }
  return {};
}

Status MapReader::Rate(std::string_view key, MicroRate& out) const {
  if (const yaml::Node* node = Get(key)) {
    BROADSIDE_ASSIGN_OR_RETURN(out, ReadRate(*context_, key, *node));
  }
  return {};
}

Status MapReader::Percent(std::string_view key, Ppm most, Ppm& out) const {
  if (const yaml::Node* node = Get(key)) {
    BROADSIDE_ASSIGN_OR_RETURN(out, ReadPercent(*context_, key, *node, most));
  }
  return {};
}

Status MapReader::Strings(std::string_view key, std::map<std::string, std::string>& out) const {
  const yaml::Node* node = Get(key);
  if (node == nullptr) return {};
  BROADSIDE_RETURN_IF_ERROR(ExpectMap(*context_, key, *node));
  for (const yaml::Node::Entry& entry : node->entries) {
    BROADSIDE_ASSIGN_OR_RETURN(out[entry.key], ReadString(*context_, entry.key, entry.value));
  }
  return {};
}

}  // namespace broadside::plan
