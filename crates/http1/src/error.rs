//! Why a message is refused.
//!
//! Takes nothing, gives two small enums, one variant for each rule, each with a stable code for logs and
//! metrics and one plain sentence for the peer. They hold no bytes of the message: a refusal must never
//! reflect what was sent.

use core::fmt;

macro_rules! refusals {
    ($(#[$doc:meta])* $kind:ident { $($(#[$why:meta])* $variant:ident $status:literal $code:literal $reason:literal,)* }) => {
        $(#[$doc])*
        #[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
        pub enum $kind {
            $($(#[$why])* #[doc = concat!(" (", $status, ")")] $variant,)*
        }

        impl $kind {
            /// Every variant, for tables of codes.
            pub const ALL: &'static [$kind] = &[$($kind::$variant,)*];

            /// The status a server answers with. A gateway answers 502 if the message came from an origin.
            pub fn status(self) -> u16 {
                match self { $($kind::$variant => $status,)* }
            }

            /// A stable name in snake case.
            pub fn code(self) -> &'static str {
                match self { $($kind::$variant => $code,)* }
            }

            /// One plain sentence, the same for every message.
            pub fn reason(self) -> &'static str {
                match self { $($kind::$variant => $reason,)* }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.reason())
            }
        }

        impl core::error::Error for $kind {}
    };
}

refusals! {
    /// Why a head is refused. The connection cannot be used any further: where the next message starts is
    /// unknown.
    HeadError {
        /// A line ends with LF alone (RFC 9112 section 2.2 lets a server refuse it).
        BareLf 400 "bare_lf" "a line of the head ends with LF without CR",
        /// A CR that no LF follows.
        BareCr 400 "bare_cr" "the head has a CR that is not followed by LF",
        /// A field line starts with white space (RFC 9112 section 5.2).
        ObsFold 400 "obs_fold" "a field line starts with white space",
        /// White space between a field name and its colon (RFC 9112 section 5.1).
        SpaceBeforeColon 400 "space_before_colon" "there is white space between a field name and its colon",
        /// A field name is empty or no token.
        BadName 400 "bad_name" "a field name is not a token",
        /// A field value has a control byte.
        BadValue 400 "bad_value" "a field value has a control character",
        /// A name that lenient peers take for a framing field, such as `Transfer_Encoding`.
        AmbiguousName 400 "ambiguous_name" "a field name can be mistaken for one that frames the message",
        /// The method is empty or no token.
        BadMethod 400 "bad_method" "the method is not a token",
        /// The request target has a forbidden byte or a form its method does not allow (RFC 9112 section 3.2).
        BadTarget 400 "bad_target" "the request target is not allowed",
        /// The start line has no version in the form `HTTP/1.1`.
        BadVersion 400 "bad_version" "the start line has no valid HTTP version",
        /// A well-formed version other than 1.0 and 1.1.
        UnsupportedVersion 505 "unsupported_version" "only HTTP/1.1 and HTTP/1.0 are spoken here",
        /// HTTP/1.1 without `Host` (RFC 9112 section 3.2).
        MissingHost 400 "missing_host" "the Host field is missing",
        /// More than one `Host`.
        DuplicateHost 400 "duplicate_host" "there is more than one Host field",
        /// `Host` is no host with an optional port.
        BadHost 400 "bad_host" "the Host field is not a host with an optional port",
        /// `Host` and the authority of the target differ.
        HostMismatch 400 "host_mismatch" "the Host field and the request target name different hosts",
        /// `Content-Length` is not one decimal number in its only spelling.
        BadContentLength 400 "bad_content_length" "the Content-Length field is not one plain decimal number",
        /// More than one `Content-Length`, also if they are equal.
        DuplicateContentLength 400 "duplicate_content_length" "there is more than one Content-Length field",
        /// `Transfer-Encoding` is not exactly `chunked`.
        BadTransferEncoding 400 "bad_transfer_encoding" "the Transfer-Encoding field is not exactly chunked",
        /// More than one `Transfer-Encoding`.
        DuplicateTransferEncoding 400 "duplicate_transfer_encoding" "there is more than one Transfer-Encoding field",
        /// One well-formed coding that is not spoken here (RFC 9112 section 6.1).
        UnsupportedTransferCoding 501 "unsupported_transfer_coding" "no transfer coding but chunked is spoken here",
        /// `Transfer-Encoding` in an HTTP/1.0 message (RFC 9112 section 6.1).
        TransferEncodingInHttp10 400 "transfer_encoding_in_http10" "HTTP/1.0 has no Transfer-Encoding",
        /// Both framing fields (RFC 9112 section 6.3).
        LengthAndTransferEncoding 400 "length_and_transfer_encoding" "Content-Length and Transfer-Encoding exclude each other",
        /// `Connection` is no list of tokens, or names more than 64 options.
        BadConnection 400 "bad_connection" "the Connection field is not a short list of tokens",
        /// `Connection` names a field without which the message means something else.
        ConnectionNamesFraming 400 "connection_names_framing" "the Connection field names Host, Content-Length or Transfer-Encoding",
        /// `Expect` is not exactly one `100-continue` (RFC 9110 section 10.1.1).
        BadExpect 417 "bad_expect" "no expectation but 100-continue can be met",
        /// The request line or status line exceeds its limit.
        StartLineTooLong 414 "start_line_too_long" "the request target is too long",
        /// A field line exceeds its limit.
        FieldTooLong 431 "field_too_long" "a field line is too long",
        /// The head exceeds its limit.
        HeadTooLong 431 "head_too_long" "the head is too long",
        /// There are more field lines than allowed.
        TooManyFields 431 "too_many_fields" "there are too many fields",
        /// The status is not three digits from 100 to 599.
        BadStatus 400 "bad_status" "the status is not a number from 100 to 599",
        /// The reason phrase has a control byte.
        BadReason 400 "bad_reason" "the reason phrase has a control character",
    }
}

refusals! {
    /// Why a body is refused. The connection cannot be used any further.
    BodyError {
        /// A chunk size is not made of hexadecimal digits alone.
        BadChunkSize 400 "bad_chunk_size" "a chunk size is not a plain hexadecimal number",
        /// A chunk size has more than 16 digits.
        ChunkSizeTooLong 400 "chunk_size_too_long" "a chunk size has too many digits",
        /// A chunk extension is not `;name`, `;name=token` or `;name="text"`.
        BadChunkExtension 400 "bad_chunk_extension" "a chunk extension is malformed",
        /// A chunk line exceeds its limit.
        ChunkLineTooLong 400 "chunk_line_too_long" "a chunk line is too long",
        /// The extensions of all chunks together exceed their limit.
        ExtensionsTooLong 400 "extensions_too_long" "the chunk extensions of the body are too long",
        /// The data of a chunk is not followed by CRLF.
        BadChunkEnd 400 "bad_chunk_end" "the data of a chunk is not followed by CRLF",
        /// A chunk line or trailer ends with LF alone.
        BareLf 400 "body_bare_lf" "a line of the chunked body ends with LF without CR",
        /// A CR in a chunk line or trailer that no LF follows.
        BareCr 400 "body_bare_cr" "a line of the chunked body has a CR that is not followed by LF",
        /// A trailer line is no field line.
        BadTrailer 400 "bad_trailer" "a trailer field is malformed",
        /// There are more trailer fields than allowed.
        TooManyTrailers 400 "too_many_trailers" "there are too many trailer fields",
        /// The trailers exceed their limit.
        TrailersTooLong 400 "trailers_too_long" "the trailer fields are too long",
        /// The connection closed before the body was complete.
        Truncated 400 "body_truncated" "the connection closed before the end of the body",
    }
}
