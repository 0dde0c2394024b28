#include "ctl/command.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <ostream>

#include <CLI/CLI.hpp>

#include "common/report/format.h"
#include "ctl/exit_codes.h"

namespace broadside::ctl {
namespace {

bool IsPositional(const Option& option) { return option.name.rfind("--", 0) != 0; }

std::string Left(const Option& option) {
  return option.value.empty() ? option.name : option.name + " " + option.value;
}

/// How many letters to change to get from one word to the other.
size_t Distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, change}));
    }
  }
  return row[b.size()];
}

/// " Did you mean X?" for the nearest of `words`, if it is near at all.
std::string Suggestion(const std::string& word, const std::vector<std::string>& words) {
  const std::string* best = nullptr;
  size_t least = word.size() / 3 + 2;
  for (const std::string& candidate : words) {
    const size_t distance = Distance(word, candidate);
    if (distance < least) {
      least = distance;
      best = &candidate;
    }
  }
  return best == nullptr ? "" : " Did you mean " + *best + "?";
}

Status Unknown(const Command& command, const std::string& argument) {
  const std::string name = argument.substr(0, argument.find('='));
  if (name.rfind('-', 0) != 0) {
    return InvalidArgument("unexpected argument \"" + argument + "\".");
  }
  std::vector<std::string> names = {"--help"};
  for (const Option& option : command.options) {
    if (!IsPositional(option)) names.push_back(option.name);
  }
  return InvalidArgument("unknown option " + name + "." + Suggestion(name, names));
}

/// CLI11 gives strings; numbers and choices are checked here, so that the messages are ours.
Status Store(const Option& option, const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    if (option.choices.empty()) break;
    if (std::find(option.choices.begin(), option.choices.end(), value) != option.choices.end()) {
      continue;
    }
    std::string allowed;
    for (const std::string& choice : option.choices) {
      allowed += (allowed.empty() ? "" : " or ") + choice;
    }
    return InvalidArgument(option.name + ": \"" + value + "\" is not one of its words. Write " +
                           allowed + ".");
  }
  if (auto* const* text = std::get_if<std::string*>(&option.to)) **text = values.back();
  if (auto* const* list = std::get_if<std::vector<std::string>*>(&option.to)) **list = values;
  if (auto* const* number = std::get_if<uint32_t*>(&option.to)) {
    const std::string& value = values.back();
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), **number);
    if (error != std::errc() || end != value.data() + value.size()) {
      return InvalidArgument(option.name + ": \"" + value +
                             "\" is not a whole number between 0 and 4294967295.");
    }
  }
  return absl::OkStatus();
}

/// The same error in our words, where CLI11's are hard to read.
Status Translate(const Command& command, const CLI::ParseError& error) {
  const std::string message = error.what();
  for (const Option& option : command.options) {
    if (IsPositional(option) || message.rfind(option.name + ":", 0) != 0) continue;
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) == nullptr) break;
    if (message.find("missing") != std::string::npos) {
      return InvalidArgument(option.name + " needs a value: " + Left(option) + ".");
    }
    return InvalidArgument(option.name + " was given more than once.");
  }
  return InvalidArgument(message);
}

void AppendTable(std::string& out, const std::vector<std::pair<std::string, std::string>>& rows) {
  constexpr int kWidest = 24;
  for (const auto& [left, right] : rows) {
    const bool fits = report::DisplayWidth(left) <= kWidest;
    out += "  " + report::PadRight(left, fits ? kWidest : 0);
    if (!fits) out += "\n" + std::string(2 + kWidest, ' ');
    out += "  ";
    // Lines after the first of a help text stand under it.
    for (const char c : right) {
      out += c;
      if (c == '\n') out += std::string(4 + kWidest, ' ');
    }
    out += "\n";
  }
}

}  // namespace

Option RunOption(std::string* to, std::string help) {
  return {.name = "RUN", .to = to, .value = "", .help = std::move(help), .required = true};
}

Option ControllerOption(std::string* to) {
  return {"--controller", to, "HOST:PORT",
          "the controller's gRPC address; else BROADSIDE_CONTROLLER"};
}

Option OutputOption(std::string* to) {
  return {"--output",  to,
          "text|json", "what stdout gets: text for people, or one JSON object",
          "Options",   {"text", "json"}};
}

std::string CommandHelp(const Command& command) {
  std::string out = "ctl " + command.name + ": " + command.summary + "\n\n";
  for (size_t i = 0; i < command.usage.size(); ++i) {
    out += (i == 0 ? "usage: " : "       ");
    out += "ctl " + command.name + (command.usage[i].empty() ? "" : " " + command.usage[i]) + "\n";
  }
  if (!command.details.empty()) out += "\n" + command.details + "\n";
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> rows;
  for (const Option& option : command.options) {
    const std::string group = IsPositional(option) ? "Arguments" : option.group;
    if (rows.find(group) == rows.end()) groups.push_back(group);
    rows[group].emplace_back(Left(option), option.help);
  }
  for (const std::string& group : groups) {
    out += "\n" + group + "\n";
    AppendTable(out, rows[group]);
  }
  if (!command.examples.empty()) out += "\nExamples\n";
  for (const std::string& example : command.examples) out += "  " + example + "\n";
  return out;
}

std::string OverviewHelp(const std::vector<Command>& commands) {
  std::string out =
      "ctl drives Broadside: load at exactly the rate you ask for, from many agents at once, and "
      "what\n"
      "it did to latency, errors and circuit breakers.\n\n"
      "usage: ctl COMMAND [options]\n\nCommands\n";
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Command& command : commands) rows.emplace_back(command.name, command.summary);
  AppendTable(out, rows);
  out +=
      "\nStart here\n"
      "  ctl run --target http://127.0.0.1:8000/v2/models/m/infer --rate 100/s --duration 30s\n"
      "  ctl run plan.yaml                     # without a controller ctl starts one for this run\n"
      "  ctl run plan.yaml --controller lab:7300\n"
      "  ctl COMMAND --help\n"
      "\nExit codes\n"
      "  0 all passed             1 usage or plan error     2 cannot reach the controller\n"
      "  3 the run failed         4 an SLO failed           5 a breaker expectation failed\n"
      "  6 breaker inconclusive   7 the run is INVALID      8 a guard ended the run\n"
      "  130 cancelled\n";
  return out;
}

Status ParseArguments(const Command& command, const std::vector<std::string>& args) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::vector<std::string>> values(command.options.size());
  for (size_t i = 0; i < command.options.size(); ++i) {
    const Option& option = command.options[i];
    if (auto* const* flag = std::get_if<bool*>(&option.to)) {
      app.add_flag(option.name, **flag);
      continue;
    }
    CLI::Option* added = app.add_option(option.name, values[i]);
    const bool many = std::holds_alternative<std::vector<std::string>*>(option.to);
    if (!IsPositional(option)) {
      added->type_name(option.value);
      added->allow_extra_args(false);
      if (!many) added->expected(1);
    }
  }
  try {
    // CLI11 takes them last first.
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::ParseError& error) {
    return Translate(command, error);
  }
  const std::vector<std::string> extras = app.remaining();
  for (const std::string& extra : extras) {
    if (extra.rfind('-', 0) == 0) return Unknown(command, extra);
  }
  if (!extras.empty()) return Unknown(command, extras.front());
  for (size_t i = 0; i < command.options.size(); ++i) {
    const Option& option = command.options[i];
    if (values[i].size() > 1 && std::holds_alternative<std::string*>(option.to)) {
      return Unknown(command, values[i][1]);
    }
    if (!values[i].empty()) {
      BROADSIDE_RETURN_IF_ERROR(Store(option, values[i]));
    } else if (option.required) {
      return InvalidArgument("needs " + option.name + ": " + option.help + ".");
    }
  }
  return absl::OkStatus();
}

int Main(const std::vector<std::string>& args, Env& env) {
  const std::vector<Command> commands = {
      RunCommand(env),   ValidateCommand(env), SchemaCommand(env),
      WatchCommand(env), StopCommand(env),     ReportCommand(env),
      RunsCommand(env),  AgentsCommand(env),   VersionCommand(env)};
  const auto find = [&](const std::string& name) -> const Command* {
    for (const Command& command : commands) {
      if (command.name == name) return &command;
    }
    return nullptr;
  };
  const auto unknown = [&](const std::string& name) {
    std::vector<std::string> names;
    for (const Command& command : commands) names.push_back(command.name);
    *env.err << "ctl: unknown command \"" << report::Printable(name) << "\"."
             << Suggestion(name, names) << " See ctl --help.\n";
    return kExitUsage;
  };
  if (args.empty()) {
    *env.err << OverviewHelp(commands);
    return kExitUsage;
  }
  const std::string& name = args[0];
  if (name == "--help" || name == "-h" || name == "help") {
    if (args.size() < 2) {
      *env.out << OverviewHelp(commands);
      return kExitOk;
    }
    const Command* command = find(args[1]);
    if (command == nullptr) return unknown(args[1]);
    *env.out << CommandHelp(*command);
    return kExitOk;
  }
  const Command* command = find(name == "--version" ? "version" : name);
  if (command == nullptr) return unknown(name);
  const std::vector<std::string> rest(args.begin() + 1, args.end());
  if (std::any_of(rest.begin(), rest.end(),
                  [](const std::string& arg) { return arg == "--help" || arg == "-h"; })) {
    *env.out << CommandHelp(*command);
    return kExitOk;
  }
  if (const Status status = ParseArguments(*command, rest); !status.ok()) {
    *env.err << "ctl " << command->name << ": " << report::Printable(MessageOf(status))
             << " See ctl " << command->name << " --help.\n";
    return kExitUsage;
  }
  return command->run();
}

}  // namespace broadside::ctl
