//! `kiln token`: who may read or write over HTTP.

use std::time::Duration;

use kiln_cache::tokens::{Scope, Token};

use super::common::{Context, answer, answer_json, when};
use crate::terminal::exit::{Exit, Fault};
use crate::terminal::table;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token; its secret is printed once and kept nowhere
    Create {
        /// What it is for
        name: String,
        /// Allow adding builds, not only reading
        #[arg(long)]
        write: bool,
        /// Days until it expires [default: never]
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
    },
    /// List all tokens, without their secrets
    List,
    /// Revoke a token by its id
    Revoke {
        /// The id, as `kiln token list` shows it
        id: String,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    let store = match &command {
        Command::Create { .. } => context.open().await?,
        Command::List | Command::Revoke { .. } => context.open_existing().await?,
    };
    match command {
        Command::Create { name, write, days } => {
            let scope = if write { Scope::Write } else { Scope::Read };
            let valid = days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60));
            let (token, secret) = store.create_token(&name, scope, valid).await?;
            if context.json {
                answer_json(&serde_json::json!({ "token": token, "secret": secret }))?;
            } else {
                answer(&secret);
            }
        }
        Command::List => {
            let tokens = store.tokens().await?;
            if context.json {
                answer_json(&tokens)?;
            } else {
                let rows: Vec<_> = tokens.iter().map(row).collect();
                let heading = ["id", "scope", "created", "state", "name"];
                answer(table::render(&heading, &rows, &[]).trim_end());
            }
        }
        Command::Revoke { id } => {
            if !store.revoke_token(&id).await? {
                let why = format!("there is no token '{id}'; `kiln token list` shows them");
                return Err(Fault::new(Exit::NotFound, why).into());
            }
            if context.json {
                answer_json(&serde_json::json!({ "revoked": id }))?;
            } else {
                answer(format_args!("revoked {id}"));
            }
        }
    }
    Ok(Exit::Done)
}

fn row(token: &Token) -> Vec<String> {
    let state = match (token.revoked, token.expires) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(expires)) => format!("to {}", when(expires)),
        (None, None) => "valid".to_owned(),
    };
    let scope = token.scope.name().to_owned();
    vec![token.id.clone(), scope, when(token.created), state, token.name.clone()]
}
