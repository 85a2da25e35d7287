//! CSRF protection: a session in a cookie, and a matching token in each form.
//!
//! Part of the pages. The token is an HMAC of the session and the user, under a key that lives as long as the
//! server. The cookie is `SameSite=Lax`, so that browsers do not send it with a form of another site. Browsers
//! also report the site that a form comes from (`Sec-Fetch-Site`, `Origin`); all of these must agree.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The name of the cookie.
const COOKIE: &str = "pdns_session";
/// Size of a session ID, in bytes.
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
    /// Creates a new key; returns `None` if the system has no randomness.
    pub(in crate::serve) fn new() -> Option<Self> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok().map(Self)
    }

    /// Returns the token for forms of this session, sent by this user.
    pub(in crate::serve) fn token(&self, session: &Session, user: &str) -> String {
        Base64UrlUnpadded::encode_string(hmac::sign(&self.0, &message(session, user)).as_ref())
    }

    /// Returns true if a token matches the session and user.
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
    /// Returns the session of a request, or a new one; `None` if the system has no randomness.
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

    /// Returns the header that stores the session in the browser, unless it is stored already.
    pub(in crate::serve) fn cookie(&self, is_secure: bool) -> Option<HeaderValue> {
        let secure = if is_secure { "; Secure" } else { "" };
        let text = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Lax{secure}", self.text);
        self.is_new.then(|| HeaderValue::from_str(&text).ok()).flatten()
    }
}

/// Returns true if the browser reports that the request comes from a page of this server.
///
/// If `Sec-Fetch-Site` is present, it decides: no page can set it. Older browsers, and plain HTTP to other than
/// loopback addresses, have only `Origin`, whose host must equal the requested one.
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
