//! The line that says how a command is used, where a command line is wrong.

use clap::error::{ContextKind, ContextValue};

/// Takes the options out of it that variables of the environment gave: they are not what is missing,
/// and look as if they had to be there.
pub(crate) fn without_variables(mut error: clap::Error, command: &clap::Command) -> clap::Error {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return error };
    let said: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let given = |option: &clap::Arg| {
        let names = |word: &String| {
            option.get_long().is_some_and(|long| {
                word.strip_prefix("--").and_then(|it| it.split('=').next()) == Some(long)
            })
        };
        option.get_env().is_some_and(|name| std::env::var_os(name).is_some())
            && !said.iter().any(names)
    };
    let usage = cleaned(&usage.to_string(), command, &given);
    error.insert(ContextKind::Usage, ContextValue::StyledStr(usage.into()));
    error
}

/// The line without the options of the command and of all below it that `leave_out` names.
fn cleaned(usage: &str, command: &clap::Command, leave_out: &dyn Fn(&clap::Arg) -> bool) -> String {
    let mut usage = usage.to_owned();
    for option in command.get_arguments().filter(|option| leave_out(option)) {
        let (Some(long), values) = (option.get_long(), option.get_value_names()) else { continue };
        let value = values.and_then(|names| names.first()).map(|name| format!(" <{name}>"));
        usage = usage.replace(&format!(" --{long}{}", value.unwrap_or_default()), "");
    }
    command.get_subcommands().fold(usage, |usage, below| cleaned(&usage, below, leave_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_variable_gave_is_left_out() {
        let option = |name: &'static str, value: &'static str| {
            clap::Arg::new(name).long(name).value_name(value)
        };
        let below = clap::Command::new("pull").arg(option("toolchain", "NAME"));
        let command = clap::Command::new("kiln")
            .args([option("store", "URL"), option("store-all", "URL")])
            .subcommand(below);
        let usage = "Usage: kiln pull --store <URL> --toolchain <NAME> --store-all <URL> <BUILD>";
        let all = cleaned(usage, &command, &|option| option.get_id() != "store-all");
        assert_eq!(all, "Usage: kiln pull --store-all <URL> <BUILD>");
        assert_eq!(cleaned(usage, &command, &|_| false), usage);
    }
}
