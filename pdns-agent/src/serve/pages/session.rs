//! That a change comes from a form of ours: a session in a cookie, and a token in the form that goes with it.
//!
//! Part of the pages. The token is an HMAC of the session and the user under a key that lives as long as the server.
//! The cookie is `SameSite=Lax`, so that a form of another site brings none; the browser says besides from which site a
//! form comes (`Sec-Fetch-Site`, `Origin`), and all of it must agree.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The name of the cookie.
const COOKIE: &str = "pdns_session";
/// Octets of a session.
const LENGTH: usize = 16;

/// The key of all tokens.
pub(in crate::serve) struct Sessions(hmac::Key);

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

/// A visitor's session.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::serve) struct Session {
    text: String,
    is_new: bool,
}

impl Sessions {
    /// With a key of its own; `None` when the system has no randomness.
    pub(in crate::serve) fn new() -> Option<Self> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok().map(Self)
    }

    /// What a form of this session bears, sent by this user.
    pub(in crate::serve) fn token(&self, session: &Session, user: &str) -> String {
        Base64UrlUnpadded::encode_string(hmac::sign(&self.0, &message(session, user)).as_ref())
    }

    /// Whether a token goes with the session and user.
    pub(in crate::serve) fn is_token(&self, token: &str, session: &Session, user: &str) -> bool {
        // A session that begins with this request has no form yet.
        let decoded = Base64UrlUnpadded::decode_vec(token);
        !session.is_new
            && decoded.is_ok_and(|tag| hmac::verify(&self.0, &message(session, user), &tag).is_ok())
    }
}

fn message(session: &Session, user: &str) -> Vec<u8> {
    [session.text.as_bytes(), b"\0", user.as_bytes()].concat()
}

impl Session {
    /// The session of a request, or a new one; `None` when the system has no randomness.
    pub(in crate::serve) fn of(headers: &HeaderMap) -> Option<Self> {
        let cookies =
            headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let known = cookies.flat_map(|cookies| cookies.split(';')).find_map(|cookie| {
            let value = cookie.trim().strip_prefix(COOKIE)?.strip_prefix('=')?;
            let octets = Base64UrlUnpadded::decode_vec(value).ok()?;
            (octets.len() == LENGTH).then(|| value.to_owned())
        });
        if let Some(text) = known {
            return Some(Self { text, is_new: false });
        }
        let mut octets = [0; LENGTH];
        SystemRandom::new().fill(&mut octets).ok()?;
        Some(Self { text: Base64UrlUnpadded::encode_string(&octets), is_new: true })
    }

    /// The header that keeps it in the browser, if that does not have it yet.
    pub(in crate::serve) fn cookie(&self, is_secure: bool) -> Option<HeaderValue> {
        let secure = if is_secure { "; Secure" } else { "" };
        let text = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Lax{secure}", self.text);
        self.is_new.then(|| HeaderValue::from_str(&text).ok()).flatten()
    }
}

/// Whether the browser says that the request comes from a page of this server.
///
/// `Sec-Fetch-Site` decides where it is sent: no page can set it. Older browsers and plain HTTP to other than
/// loopback addresses have `Origin` alone, whose host must be the one that was asked.
pub(in crate::serve) fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = text("origin").and_then(|origin| origin.split_once("://"));
    let origin = origin.and_then(|(_, host)| host.parse::<Authority>().ok());
    let host = text("host").and_then(|host| host.parse::<Authority>().ok());
    matches!((origin, host), (Some(origin), Some(host)) if origin == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_goes_with_its_session_its_user_and_its_server() {
        let (sessions, others) = (Sessions::new().unwrap(), Sessions::new().unwrap());
        let new = Session::of(&HeaderMap::new()).unwrap();
        let cookie = new.cookie(true).unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        let pair = cookie.split(';').next().unwrap();
        let known = Session::of(&with(&[("cookie", &format!("a=b; {pair}; c=d"))])).unwrap();
        assert!(known.text == new.text && known.cookie(true).is_none());
        let token = sessions.token(&new, "alice");
        assert!(sessions.is_token(&token, &known, "alice"));
        assert!(!sessions.is_token(&token, &new, "alice"), "without its cookie");
        assert!(!sessions.is_token(&token, &known, "bob"));
        assert!(!others.is_token(&token, &known, "alice"));
        assert!(
            !sessions.is_token("", &known, "alice") && !sessions.is_token("%", &known, "alice")
        );
        let other =
            Session::of(&with(&[("cookie", "pdns_session=AAAAAAAAAAAAAAAAAAAAAA")])).unwrap();
        assert!(!other.is_new && !sessions.is_token(&token, &other, "alice"));
        assert!(Session::of(&with(&[("cookie", "pdns_session=x")])).unwrap().is_new);
    }

    #[test]
    fn a_form_of_another_site_is_told() {
        let host = ("host", "pdns.example:8953");
        assert!(is_from_here(&with(&[host, ("sec-fetch-site", "same-origin")])));
        assert!(is_from_here(&with(&[host, ("origin", "https://pdns.example:8953")])));
        for other in [
            vec![host],
            vec![host, ("origin", "null")],
            vec![host, ("origin", "https://evil.example")],
            vec![host, ("origin", "https://pdns.example")],
            vec![host, ("sec-fetch-site", "same-site"), ("origin", "https://pdns.example:8953")],
            vec![host, ("sec-fetch-site", "none")],
            vec![("origin", "https://pdns.example:8953")],
        ] {
            assert!(!is_from_here(&with(&other)), "{other:?}");
        }
    }
}
