//! The field names the codec knows by a number, one constant for each.
//!
//! Takes nothing, gives [`FieldId`] and the constants in their canonical spelling. For the codec the list decides speed
//! alone: a name that is not here works the same way, its comparisons only cost more. It also says which names have a meaning
//! of their own: these are not let through in trailers, but for `ETag`, and the gateway tells no identity under them.

use crate::name::Name;

macro_rules! well_known {
    ($($id:ident $constant:ident $text:literal,)*) => {
        /// A well-known field name as a number, so that looking one up is comparing a byte.
        #[repr(u8)]
        #[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
        pub enum FieldId {
            /// A name the codec has no number for; it is compared by its text.
            Other = 0,
            $(#[doc = concat!("`", $text, "`")] $id,)*
        }

        $(
            #[doc = concat!("`", $text, "`")]
            pub const $constant: Name<'static> = Name::known(FieldId::$id, $text.as_bytes());
        )*

        /// Every well-known name, in the order of the numbers, the first one being number 1.
        pub const ALL: &[Name<'static>] = &[$($constant,)*];
    };
}

well_known! {
    Accept ACCEPT "Accept",
    AcceptEncoding ACCEPT_ENCODING "Accept-Encoding",
    AcceptLanguage ACCEPT_LANGUAGE "Accept-Language",
    AcceptRanges ACCEPT_RANGES "Accept-Ranges",
    AccessControlAllowCredentials ACCESS_CONTROL_ALLOW_CREDENTIALS "Access-Control-Allow-Credentials",
    AccessControlAllowHeaders ACCESS_CONTROL_ALLOW_HEADERS "Access-Control-Allow-Headers",
    AccessControlAllowMethods ACCESS_CONTROL_ALLOW_METHODS "Access-Control-Allow-Methods",
    AccessControlAllowOrigin ACCESS_CONTROL_ALLOW_ORIGIN "Access-Control-Allow-Origin",
    AccessControlExposeHeaders ACCESS_CONTROL_EXPOSE_HEADERS "Access-Control-Expose-Headers",
    AccessControlMaxAge ACCESS_CONTROL_MAX_AGE "Access-Control-Max-Age",
    AccessControlRequestHeaders ACCESS_CONTROL_REQUEST_HEADERS "Access-Control-Request-Headers",
    AccessControlRequestMethod ACCESS_CONTROL_REQUEST_METHOD "Access-Control-Request-Method",
    Age AGE "Age",
    Allow ALLOW "Allow",
    AltSvc ALT_SVC "Alt-Svc",
    Authorization AUTHORIZATION "Authorization",
    CacheControl CACHE_CONTROL "Cache-Control",
    Connection CONNECTION "Connection",
    ContentDisposition CONTENT_DISPOSITION "Content-Disposition",
    ContentEncoding CONTENT_ENCODING "Content-Encoding",
    ContentLanguage CONTENT_LANGUAGE "Content-Language",
    ContentLength CONTENT_LENGTH "Content-Length",
    ContentLocation CONTENT_LOCATION "Content-Location",
    ContentRange CONTENT_RANGE "Content-Range",
    ContentSecurityPolicy CONTENT_SECURITY_POLICY "Content-Security-Policy",
    ContentType CONTENT_TYPE "Content-Type",
    Cookie COOKIE "Cookie",
    Date DATE "Date",
    Etag ETAG "ETag",
    Expect EXPECT "Expect",
    Expires EXPIRES "Expires",
    Forwarded FORWARDED "Forwarded",
    Host HOST "Host",
    Http2Settings HTTP2_SETTINGS "HTTP2-Settings",
    IfMatch IF_MATCH "If-Match",
    IfModifiedSince IF_MODIFIED_SINCE "If-Modified-Since",
    IfNoneMatch IF_NONE_MATCH "If-None-Match",
    IfRange IF_RANGE "If-Range",
    IfUnmodifiedSince IF_UNMODIFIED_SINCE "If-Unmodified-Since",
    KeepAlive KEEP_ALIVE "Keep-Alive",
    LastModified LAST_MODIFIED "Last-Modified",
    Link LINK "Link",
    Location LOCATION "Location",
    MaxForwards MAX_FORWARDS "Max-Forwards",
    Origin ORIGIN "Origin",
    Pragma PRAGMA "Pragma",
    Prefer PREFER "Prefer",
    ProxyAuthenticate PROXY_AUTHENTICATE "Proxy-Authenticate",
    ProxyAuthorization PROXY_AUTHORIZATION "Proxy-Authorization",
    ProxyConnection PROXY_CONNECTION "Proxy-Connection",
    ProxyStatus PROXY_STATUS "Proxy-Status",
    Range RANGE "Range",
    Referer REFERER "Referer",
    RetryAfter RETRY_AFTER "Retry-After",
    SecWebsocketAccept SEC_WEBSOCKET_ACCEPT "Sec-WebSocket-Accept",
    SecWebsocketExtensions SEC_WEBSOCKET_EXTENSIONS "Sec-WebSocket-Extensions",
    SecWebsocketKey SEC_WEBSOCKET_KEY "Sec-WebSocket-Key",
    SecWebsocketProtocol SEC_WEBSOCKET_PROTOCOL "Sec-WebSocket-Protocol",
    SecWebsocketVersion SEC_WEBSOCKET_VERSION "Sec-WebSocket-Version",
    Server SERVER "Server",
    SetCookie SET_COOKIE "Set-Cookie",
    StrictTransportSecurity STRICT_TRANSPORT_SECURITY "Strict-Transport-Security",
    Te TE "TE",
    Traceparent TRACEPARENT "traceparent",
    Tracestate TRACESTATE "tracestate",
    Trailer TRAILER "Trailer",
    TransferEncoding TRANSFER_ENCODING "Transfer-Encoding",
    Upgrade UPGRADE "Upgrade",
    UpgradeInsecureRequests UPGRADE_INSECURE_REQUESTS "Upgrade-Insecure-Requests",
    UserAgent USER_AGENT "User-Agent",
    Vary VARY "Vary",
    Via VIA "Via",
    WwwAuthenticate WWW_AUTHENTICATE "WWW-Authenticate",
    XApiKey X_API_KEY "X-API-Key",
    XContentTypeOptions X_CONTENT_TYPE_OPTIONS "X-Content-Type-Options",
    XForwardedFor X_FORWARDED_FOR "X-Forwarded-For",
    XForwardedHost X_FORWARDED_HOST "X-Forwarded-Host",
    XForwardedPort X_FORWARDED_PORT "X-Forwarded-Port",
    XForwardedPrefix X_FORWARDED_PREFIX "X-Forwarded-Prefix",
    XForwardedProto X_FORWARDED_PROTO "X-Forwarded-Proto",
    XFrameOptions X_FRAME_OPTIONS "X-Frame-Options",
    XRealIp X_REAL_IP "X-Real-IP",
    XRequestId X_REQUEST_ID "X-Request-Id",
    SecFetchDest SEC_FETCH_DEST "Sec-Fetch-Dest",
    SecFetchMode SEC_FETCH_MODE "Sec-Fetch-Mode",
    SecFetchSite SEC_FETCH_SITE "Sec-Fetch-Site",
    SecFetchUser SEC_FETCH_USER "Sec-Fetch-User",
}
