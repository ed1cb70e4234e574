//! Tokens: one secret, one scope, until they are revoked or expire.

mod common;

use std::time::Duration;

use common::Fixture;
use kiln_cache::tokens::Scope;

#[tokio::test]
async fn a_secret_counts_until_it_is_revoked() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let (token, secret) = store.create_token("CI", Scope::Write, None).await.unwrap();
    let (other, other_secret) = store.create_token("web", Scope::Read, None).await.unwrap();
    assert_ne!(secret, other_secret);
    assert_eq!(store.token_of(&secret).await.unwrap().as_ref(), Some(&token));
    assert_eq!(store.token_of(&other_secret).await.unwrap().unwrap().scope, Scope::Read);
    for wrong in ["", "kiln_", &secret[1..], &token.id] {
        assert_eq!(store.token_of(wrong).await.unwrap(), None, "{wrong}");
    }
    assert!(!store.revoke_token("nobody").await.unwrap());
    assert!(store.revoke_token(&token.id).await.unwrap());
    assert_eq!(store.token_of(&secret).await.unwrap(), None);
    assert!(store.token_of(&other_secret).await.unwrap().is_some());
    let listed = store.tokens().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().any(|it| it.id == other.id && it.revoked.is_none()));
    assert!(listed.iter().any(|it| it.id == token.id && it.revoked.is_some()));
}

#[tokio::test]
async fn a_token_that_expired_does_not_count() {
    let fixture = Fixture::new().await;
    let valid = Some(Duration::ZERO);
    let (_, secret) = fixture.store.create_token("x", Scope::Read, valid).await.unwrap();
    assert_eq!(fixture.store.token_of(&secret).await.unwrap(), None);
}

#[tokio::test]
async fn the_secret_is_kept_nowhere() {
    let fixture = Fixture::new().await;
    let (_, secret) = fixture.store.create_token("x", Scope::Read, None).await.unwrap();
    fixture.store.close().await;
    for file in std::fs::read_dir(fixture.root()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let digits = &secret.as_bytes()[5..];
            assert!(!bytes.windows(digits.len()).any(|part| part == digits), "{}", path.display());
        }
    }
}
