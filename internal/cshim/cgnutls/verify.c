#include <gnutls/x509.h>

#include "verify.h"

static int on_verify(gnutls_session_t tls)
{
	cshim_session *s = cshim_session_of(tls);

	if (s->verify == CSHIM_VERIFY_ACCEPTED)
		return 0;
	s->verify = CSHIM_VERIFY_WAITING;
	return GNUTLS_E_AGAIN;
}

void cshim_verify_attach(cshim_session *s)
{
	gnutls_session_set_verify_function(s->tls, on_verify);
}

void cshim_verify_message(cshim_session *s, unsigned htype)
{
	if (s->any_key_usage && htype == GNUTLS_HANDSHAKE_CERTIFICATE_PKT)
		gnutls_session_enable_compatibility_mode(s->tls);
}

void cshim_verify_accept(cshim_session *s)
{
	s->verify = CSHIM_VERIFY_ACCEPTED;
}

/* GnuTLS calls on_link without an argument of ours: the path that this thread
 * is recording. */
static __thread struct cshim_path *recording;

static int on_link(gnutls_x509_crt_t cert, gnutls_x509_crt_t issuer, gnutls_x509_crl_t crl,
		   unsigned status)
{
	struct cshim_path *path = recording;
	struct cshim_link link = { .status = status };
	struct cshim_link *links;
	int ret;

	(void)crl;
	if (path == NULL || path->error < 0 || cert == NULL)
		return 0;
	links = realloc(path->links, (path->n + 1) * sizeof(*links));
	if (links == NULL) {
		path->error = GNUTLS_E_MEMORY_ERROR;
		return 0;
	}
	path->links = links;
	ret = gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_DER, &link.cert);
	if (ret >= 0 && issuer != NULL)
		ret = gnutls_x509_crt_export2(issuer, GNUTLS_X509_FMT_DER, &link.issuer);
	if (ret < 0) {
		gnutls_free(link.cert.data);
		path->error = ret;
		return 0;
	}
	links[path->n++] = link;
	return 0;
}

int cshim_verify_peer(gnutls_session_t tls, const char *name, unsigned ip_size, const char *purpose,
		      unsigned *status, struct cshim_path *path)
{
	gnutls_typed_vdata_st data[2];
	unsigned n = 0;
	int ret;

	data[n++] = (gnutls_typed_vdata_st){
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)purpose,
	};
	if (name != NULL)
		data[n++] = (gnutls_typed_vdata_st){
			.type = ip_size > 0 ? GNUTLS_DT_IP_ADDRESS : GNUTLS_DT_DNS_HOSTNAME,
			.data = (unsigned char *)name,
			.size = ip_size,
		};
	recording = path;
	gnutls_session_set_verify_output_function(tls, on_link);
	ret = gnutls_certificate_verify_peers(tls, data, n, status);
	gnutls_session_set_verify_output_function(tls, NULL);
	recording = NULL;
	return ret;
}

void cshim_path_free(struct cshim_path *path)
{
	for (int i = 0; i < path->n; i++) {
		gnutls_free(path->links[i].cert.data);
		gnutls_free(path->links[i].issuer.data);
	}
	free(path->links);
}
