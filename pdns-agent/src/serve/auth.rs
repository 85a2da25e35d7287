//! Credentials in requests.
//!
//! DNSDB clients send `X-API-Key`. CIRCL clients send Basic, or the bare key as the whole of `Authorization`;
//! others send Bearer. With Basic, the password may be the user's key.

use super::http_error::HttpError;
use axum::http::{HeaderMap, header};
use base64ct::{Base64, Encoding as _};

/// Maximum length of a secret, in bytes.
const MAX_SECRET: usize = 1_024;

/// Credential of a request.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// A key, which also identifies the user.
    Key(String),
    /// A name with a password or key.
    Login {
        /// The name.
        user: String,
        /// The password or the key.
        password: String,
    },
}

/// Returns the credential of a request; `None` if it has none.
///
/// # Errors
/// 400 for a header that cannot be read.
pub(super) fn credential(headers: &HeaderMap) -> Result<Option<Credential>, HttpError> {
    let text = |name: &str| match headers.get(name) {
        None => Ok(None),
        Some(value) => match value.to_str() {
            Ok(text) if text.len() <= 2 * MAX_SECRET => {
                Ok(Some(text.trim()).filter(|text| !text.is_empty()))
            }
            _ => Err(HttpError::bad(format!("the header {name} is no key and no login"))),
        },
    };
    if let Some(key) = text("x-api-key")? {
        return Ok(Some(Credential::Key(key.to_owned())));
    }
    let Some(authorization) = text(header::AUTHORIZATION.as_str())? else { return Ok(None) };
    let (scheme, rest) = authorization.split_once(' ').unwrap_or(("", authorization));
    if scheme.eq_ignore_ascii_case("basic") {
        let login =
            Base64::decode_vec(rest.trim()).ok().and_then(|octets| String::from_utf8(octets).ok());
        let login = login.filter(|login| login.len() <= MAX_SECRET);
        let (user, password) = login
            .as_deref()
            .and_then(|login| login.split_once(':'))
            .ok_or_else(|| HttpError::bad("the header authorization is no key and no login"))?;
        let (user, password) = (user.to_owned(), password.to_owned());
        return Ok(Some(Credential::Login { user, password }));
    }
    let key = if scheme.eq_ignore_ascii_case("bearer") { rest.trim() } else { authorization };
    Ok(Some(Credential::Key(key.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> Result<Option<Credential>, HttpError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        credential(&map)
    }

    #[test]
    fn every_client_is_understood() {
        let key = |text: &str| Ok(Some(Credential::Key(text.to_owned())));
        assert!(of(&[]) == Ok(None) && of(&[("x-api-key", " ")]) == Ok(None));
        assert!(of(&[("x-api-key", "abc"), ("authorization", "def")]) == key("abc"));
        assert!(of(&[("authorization", "def")]) == key("def"));
        assert!(of(&[("authorization", "bearer  def")]) == key("def"));
        let login = Credential::Login { user: "u".to_owned(), password: "p:q".to_owned() };
        assert!(of(&[("authorization", "Basic dTpwOnE=")]) == Ok(Some(login)));
        for value in ["Basic", "Basic ", "Basic x", "Basic dQ==", &"a".repeat(4_000)] {
            let of = of(&[("authorization", value)]);
            assert!(of.is_err() || of == key("Basic"), "{value}");
        }
    }
}
