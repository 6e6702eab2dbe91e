//! Who a browser says that a request comes from. A page of another site can have a browser send a request together with what
//! the user is logged in with; one that changes something is refused then. Programs send neither header and pass.

use poem::{
    Request,
    http::{HeaderName, Method, header},
};
use url::Url;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request would change something on behalf of a page that is not ours.
pub(crate) fn is_foreign(request: &Request, public_url: &str) -> bool {
    if [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(request.method()) {
        return false;
    }
    let texts = |name: HeaderName| request.headers().get_all(name).into_iter();
    let is_foreign_site = texts(FETCH_SITE).any(|site| {
        // `none`: the user typed the address.
        ![b"same-origin".as_slice(), b"none"].contains(&site.as_bytes())
    });
    if is_foreign_site {
        return true;
    }
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    // A proxy may speak TLS for us, and may or may not pass on the name that it was called by.
    let own = [
        origin_of(public_url),
        origin_of(&format!("http://{host}")),
        origin_of(&format!("https://{host}")),
    ];
    texts(header::ORIGIN).any(|origin| {
        let origin = origin.to_str().ok().and_then(origin_of);
        origin.is_none() || !own.contains(&origin)
    })
}

/// Scheme, host and port of an address, as far as it has them.
fn origin_of(address: &str) -> Option<String> {
    let origin = Url::parse(address).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

#[cfg(test)]
mod tests {
    use poem::{
        Request,
        http::{Method, Uri},
    };

    use super::is_foreign;

    const PUBLIC: &str = "https://farm.example/base";

    fn request(method: Method, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method(method).uri(Uri::from_static("/"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.finish()
    }

    #[test]
    fn programs_and_our_own_pages_may_change_something() {
        for headers in [
            &[][..],
            &[("host", "farm.example")],
            &[("origin", "https://farm.example")],
            &[("origin", "https://FARM.example:443")],
            &[("host", "127.0.0.1:5080"), ("origin", "http://127.0.0.1:5080")],
            &[("host", "farm.internal"), ("origin", "https://farm.internal")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://farm.example"),
            ],
            &[("sec-fetch-site", "none")],
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE] {
                assert!(!is_foreign(&request(method, headers), PUBLIC), "{headers:?}");
            }
        }
    }

    #[test]
    fn pages_of_other_sites_may_look_and_change_nothing() {
        for headers in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://farm.example")],
            &[("origin", "https://farm.example:8443")],
            &[("origin", "https://farm.example.evil.example")],
            &[("host", "evil.example"), ("origin", "https://other.example")],
            &[
                ("origin", "https://farm.example"),
                ("origin", "https://evil.example"),
            ],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://farm.example"),
            ],
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                assert!(is_foreign(&request(method, headers), PUBLIC), "{headers:?}");
            }
            assert!(!is_foreign(&request(Method::GET, headers), PUBLIC), "{headers:?}");
        }
    }
}
