#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/status.h"
#include "ctl/env.h"

/// A command is a table: its options, what they fill and what they mean. Parsing and help are made
/// from it, and so can completions and man pages be.
namespace broadside::ctl {

struct Option {
  /// "--rate", or a word for a positional argument: "PLAN".
  std::string name;
  std::variant<bool*, std::string*, std::vector<std::string>*, uint32_t*> to;
  std::string value;  ///< "RATE"; empty for a flag
  std::string help;
  std::string group = "Options";
  std::vector<std::string> choices = {};  ///< the words allowed; empty: any
  bool required = false;                  ///< positional arguments only
};

struct Command {
  std::string name;
  std::string summary;             ///< one line
  std::vector<std::string> usage;  ///< after "ctl NAME "
  std::string details;             ///< paragraphs, wrapped by hand at 100 columns
  std::vector<Option> options;
  std::vector<std::string> examples;  ///< "ctl run plan.yaml   # what it does"
  std::function<int()> run;           ///< gives the exit code
};

/// One function for each file of this folder. `env` must outlive the command.
Command RunCommand(Env& env);
Command ValidateCommand(Env& env);
Command SchemaCommand(Env& env);
Command WatchCommand(Env& env);
Command StopCommand(Env& env);
Command ReportCommand(Env& env);
Command RunsCommand(Env& env);
Command AgentsCommand(Env& env);
Command VersionCommand(Env& env);

/// The options that several commands share.
Option RunOption(std::string* to, std::string help = "the run's id, or the start of it");
Option ControllerOption(std::string* to);
Option OutputOption(std::string* to);

std::string CommandHelp(const Command& command);
std::string OverviewHelp(const std::vector<Command>& commands);

/// Fills the command's variables from `args` (what follows the command's name). The error is one
/// line that names the argument and the cure.
Status ParseArguments(const Command& command, const std::vector<std::string>& args);

/// The whole program: `args` without the program's name.
int Main(const std::vector<std::string>& args, Env& env);

}  // namespace broadside::ctl
