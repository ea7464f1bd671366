using System.Security.Cryptography;
using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Cli.Publishing;

/// <summary>Seals a release on the publisher's machine, so that no repository ever holds its plaintext.</summary>
/// <param name="key">The model's key.</param>
sealed class ReleaseSealing(ModelKey key)
{
    /// <summary>A release with every file sealed: what is signed names the sealed blobs beside the plaintexts.</summary>
    /// <remarks>Each file is read twice, once here for the digest of its sealed form and once when it is sent; nothing is written meanwhile.</remarks>
    public CheckedRelease Seal(CheckedRelease release, CancellationToken cancel)
    {
        var forms = new Dictionary<Sha256Digest, SealedFile>();
        var files = release.Files.ToBuilder();
        ReleaseFile Sealed(ReleaseFile file)
        {
            if (!forms.TryGetValue(file.Digest, out var form))
            {
                var content = release.Files[file.Digest];
                forms[file.Digest] = form = Form(file, content, cancel);
                files.Remove(file.Digest);
                files[form.Digest] = content with { Seal = plain => Close(file, plain) };
            }

            return file with { Sealed = form, TensorMap = null };
        }

        var manifest = release.Manifest;
        manifest = manifest with
        {
            Variants = [.. manifest.Variants.Select(variant => variant with { Files = [.. variant.Files.Select(Sealed)] })],
            Trial = manifest.Trial is not { } trial ? null : trial with
            {
                Evaluation = trial.Evaluation is { } evaluation ? Sealed(evaluation) : null,
                Golden = trial.Golden is { } golden ? Sealed(golden) : null,
            },
        };
        return release with { Manifest = manifest, Files = files.ToImmutable() };
    }

    /// <summary>The content keys of a sealed release, each once.</summary>
    /// <exception cref="PublicationException">The release was sealed with another key of the model.</exception>
    public IReadOnlyList<ContentKey> KeysOf(ReleaseManifest manifest)
    {
        var keys = new Dictionary<Sha256Digest, ContentKey>();
        foreach (var file in manifest.Files)
        {
            if (file.Sealed is null || keys.ContainsKey(file.Sealed.Key))
                continue;
            keys[file.Sealed.Key] = Find(file)
                ?? throw new PublicationException($"{manifest.Model} {manifest.Version} was sealed with another key of the model than the one given; give the folder of keys that it was published with.");
        }

        return [.. keys.Values];
    }

    /// <summary>The key of a sealed file; null when it was sealed with another key of the model.</summary>
    public ContentKey? Find(ReleaseFile file)
    {
        var content = key.Content(file.Digest);
        if (content.Id == file.Sealed?.Key)
            return content;
        content.Dispose();
        return null;
    }

    SealedFile Form(ReleaseFile file, FileContent content, CancellationToken cancel)
    {
        using var closed = Close(file, content.Open());
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[SealHeader.DefaultSegment];
        for (int read; (read = closed.Read(buffer)) > 0;)
        {
            cancel.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, read);
        }

        using var contentKey = key.Content(file.Digest);
        return new(new(hash.GetHashAndReset()), SealHeader.SealedLength(file.Length, SealHeader.DefaultSegment), SealHeader.DefaultSegment, contentKey.Id);
    }

    SealingStream Close(ReleaseFile file, Stream plain)
    {
        using var contentKey = key.Content(file.Digest);
        return new(plain, new(contentKey, SealHeader.OfBlob(contentKey.Id, file.Digest)));
    }
}
