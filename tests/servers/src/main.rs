//! `kiln-servers [--postgres] [--s3 FOLDER] [--azure AZURITE FOLDER] -- COMMAND ARG…`: runs a
//! command beside private servers, told of them by the variables that `kiln` reads, and ends them
//! with it.

use std::process::{Command, ExitCode};

use kiln_servers::{Azurite, Postgres, S3};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            let line = format!("kiln-servers: {error}\n");
            let _unread = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut environment = Vec::new();
    let (mut postgres, mut s3, mut azure) = (None, None, None);
    let value = |of: &str, args: &mut std::iter::Skip<std::env::Args>| {
        args.next().ok_or_else(|| format!("{of} needs another value"))
    };
    loop {
        match args.next().as_deref() {
            Some("--postgres") => {
                let server = Postgres::start()?.ok_or("PostgreSQL is not installed")?;
                environment.push(("KILN_DATABASE", server.database()?));
                postgres = Some(server);
            }
            Some("--s3") => {
                let server = S3::start(value("--s3", &mut args)?.as_ref()).await?;
                environment.extend(server.environment());
                s3 = Some(server);
            }
            Some("--azure") => {
                let program = value("--azure", &mut args)?;
                let server = Azurite::start(&program, value("--azure", &mut args)?.as_ref())?;
                environment.extend(server.environment());
                azure = Some(server);
            }
            Some("--") => break,
            Some(other) => return Err(format!("what is '{other}'?").into()),
            None => return Err("no command: write it behind --".into()),
        }
    }
    let program = args.next().ok_or("no command behind --")?;
    let mut command = Command::new(program);
    command.args(args).envs(environment);
    let status = tokio::task::spawn_blocking(move || command.status()).await??;
    drop((postgres, s3, azure));
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
