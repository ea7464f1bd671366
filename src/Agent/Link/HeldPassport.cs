using System.Collections.Immutable;
using Coppice.Agent.Storage;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>What the operator calls this device, as the server signed it last. Whoever answers in the server's place can keep the next from it, and no more.</summary>
/// <param name="disk">The data folder.</param>
/// <param name="device">Whose labels they are.</param>
/// <param name="signers">Who signs plans, by the metadata that was trusted last; null before the first look at the repository.</param>
public sealed class HeldPassport(IDisk disk, string device, Func<RoleSigners?> signers)
{
    readonly Lock gate = new();
    ImmutableDictionary<string, string>? labels;
    (byte[] Envelope, string Nonce)? offered;

    /// <summary>Tells that the labels are others now.</summary>
    public event Action? Changed;

    /// <summary>Without the prefix <c>label.</c>; none before the first passport.</summary>
    public ImmutableDictionary<string, string> Labels
    {
        get
        {
            lock (gate)
            {
                try
                {
                    Settle();
                }
                catch (UntrustedMetadataException) // it is dropped, and the server is asked again with the next report, which tells
                {
                }

                return labels ??= Read();
            }
        }
    }

    /// <summary>Takes what came with an answer. Before the first look at the repository nobody knows who may sign it: it is judged at the next.</summary>
    /// <param name="passport">In base64.</param>
    /// <param name="nonce">What was asked with.</param>
    /// <exception cref="LinkException">It is not to be trusted; the labels stay as they are.</exception>
    public void Take(string passport, string nonce)
    {
        ArgumentNullException.ThrowIfNull(passport);
        bool changed;
        lock (gate)
        {
            var envelope = new byte[passport.Length / 4 * 3];
            if (passport.Length > DevicePassport.MaxBytes * 4L / 3 + 4 || !Convert.TryFromBase64String(passport, envelope, out var length))
                throw new LinkException($"the passport that the server's answer brought is no base64 of at most {DevicePassport.MaxBytes} bytes; labels stay as they are.");
            offered = (envelope[..length], nonce);
            try
            {
                changed = Settle();
            }
            catch (UntrustedMetadataException e)
            {
                throw new LinkException($"the server's answer says how the device is labelled, and is not to be trusted: {e.Message} Labels stay as they are.", e);
            }
        }

        if (changed)
            Changed?.Invoke();
    }

    /// <summary>Judges what was offered, once it can be. Returns whether the labels are others now.</summary>
    bool Settle()
    {
        if (offered is not var (envelope, nonce) || signers() is not { } known)
            return false;
        offered = null;
        var passport = DevicePassport.Open(envelope, known);
        if (passport.Device != device || passport.Nonce != nonce)
            throw new UntrustedMetadataException("passport", Distrust.WrongRole, $"it is of '{passport.Device}', in answer to another question", "one that answers this device's last report is wanted");
        if (DevicePassport.DigestOf(passport.Labels) == DevicePassport.DigestOf(labels ??= Read()))
            return false;
        disk.Replace(DataFolder.Passport, envelope);
        labels = passport.Labels;
        return true;
    }

    ImmutableDictionary<string, string> Read()
    {
        try
        {
            return disk.ReadSmall(DataFolder.Passport, DevicePassport.MaxBytes) is { } kept ? DevicePassport.Read(kept).Labels : [];
        }
        catch (UntrustedMetadataException) // damaged: the server is asked for another with the next report
        {
            return [];
        }
    }
}
